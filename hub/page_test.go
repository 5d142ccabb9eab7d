package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// Clients that are stuck while they read old events from the log cost no more than
// others. They get everything once they read again.
func TestStuckInAPage(t *testing.T) {
	const clients, events, size = 3, 80, 256 << 10
	l := new(hubtest.MemoryLog)
	h := overReal(t, l, hub.WithMaxEvents(1))
	text := strings.Repeat("x", size)
	for n := range events {
		publish(t, h, "a", fmt.Sprint(n, " ", text))
	}
	hosttest.Eventually(t, "the memory is full", func() bool { return h.Stats().Log.Events == events })
	url := serve(t, h, core.WithWriteTimeout(0))
	before := heap()
	var all []*reader
	for i := range clients {
		conn := open(t, url+"topic=a&from=oldest"+[]string{"", "&detach", "&decode"}[i%3])
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body := bufio.NewReader(resp.Body)
		if _, err := body.Peek(1); err != nil { // the page has been read
			t.Fatal(err)
		}
		next, stop := iter.Pull2(core.Read(body))
		t.Cleanup(stop)
		all = append(all, &reader{t, next, stop})
	}
	hosttest.Eventually(t, "they are stuck, with less than 2 MiB each", func() bool { return heap()-before < clients*2*mib })
	for _, r := range all {
		for n := range events {
			if got, want := r.event().Data, fmt.Sprint(n, " ", text); got != want {
				t.Fatalf("got %.20q, want %.20q", got, want)
			}
		}
	}
}

// pad publishes an event for each number, so large that a page is not taken at once.
func pad(t *testing.T, h *hub.Hub, from, to int) {
	t.Helper()
	comment := strings.Repeat("x", 50<<10)
	for n := from; n <= to; n++ {
		if _, err := h.Publish(context.Background(), "a", core.Event{Data: fmt.Sprint(n), Comment: comment}); err != nil {
			t.Fatal(err)
		}
	}
}

// A page is read from the log once, even if it is not taken at once.
func TestPageIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		h := over(t, l, hub.WithMaxEvents(1))
		pad(t, h, 1, 200)
		synctest.Wait()
		listen(t, h, hub.Oldest, "a").want(numbered(1, 200))
		if n := l.reads.Load(); n != 1 {
			t.Errorf("the log was read %d times, want once", n)
		}
	})
}

// A client that is kicked in the middle of a page gets what was published before, although
// the page has more.
func TestKickInsideAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		slow, g := late(l)
		h, publisher := over(t, slow, hub.WithMaxEvents(1)), over(t, l)
		pad(t, h, 1, 11)
		synctest.Wait()
		g.close()
		pad(t, publisher, 12, 20)
		c := read(t, h.SubscribeFrom(t.Context(), hub.Oldest, "a"))
		c.want("1")
		h.Kick("a")
		if got, want := c.rest(), numbered(2, 11); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		g.open()
	})
}

// The follower comes to a client's position in the middle of a page. The client continues
// from memory, and is overtaken there: it gets everything once.
func TestMemoryComesInsideAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		slow, g := late(l)
		h, publisher := over(t, slow, hub.WithMaxEvents(30)), over(t, l)
		g.close()
		pad(t, publisher, 1, 20)
		c := read(t, h.SubscribeFrom(t.Context(), hub.Oldest, "a"))
		c.want("1")
		g.open()
		synctest.Wait()
		c.want(numbered(2, 10))
		pad(t, publisher, 21, 100)
		synctest.Wait()
		c.want(numbered(11, 100))
	})
}
