package remotelog_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/remotelog"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

// serve serves a log, and returns it as two other processes have it.
func serve(t *testing.T, log hub.Log) (a, b hub.Log) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		_ = remotelog.Serve(ln, log)
		close(done)
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	dial := func() hub.Log {
		l, err := remotelog.Dial(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	return dial(), dial()
}

func TestHubsShareALog(t *testing.T) {
	a, b := serve(t, new(hubtest.MemoryLog))
	publisher, reader := hub.New(hub.WithLog(a)), hub.New(hub.WithLog(b))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var ids []string
	for _, data := range []string{"one", "two", "three"} {
		id, err := publisher.Publish(ctx, "news", core.Event{Type: "add", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var got []core.Event
	for e, err := range reader.SubscribeFrom(ctx, hub.After(ids[0]), "news") {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == 2 {
			break
		}
	}
	want := []core.Event{{ID: ids[1], Type: "add", Data: "two"}, {ID: ids[2], Type: "add", Data: "three"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, h := range []*hub.Hub{publisher, reader} {
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestAnswersAsTheLogDoes(t *testing.T) {
	log := new(hubtest.MemoryLog)
	l, _ := serve(t, log)
	ctx := t.Context()
	first, err := l.Append(ctx, hub.Entry{Topic: "news", Event: core.Event{Data: "one"}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Append(ctx, hub.Entry{Topic: "news", Key: "k", Keyed: true, Attributes: hub.Attributes{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if last, err := l.Last(ctx); err != nil || last != second {
		t.Errorf("Last: got %q, %v, want %q", last, err, second)
	}
	if topic, err := l.TopicOf(ctx, first); err != nil || topic != "news" {
		t.Errorf("TopicOf: got %q, %v, want news", topic, err)
	}
	entries, err := l.Range(ctx, first, 10)
	if err != nil || len(entries) != 1 || entries[0].ID != second || !entries[0].Keyed || entries[0].Attributes["a"] != "b" {
		t.Errorf("Range: got %+v, %v, want the second entry", entries, err)
	}
	if order, err := l.Compare(first, second); err != nil || order >= 0 {
		t.Errorf("Compare: got %d, %v, want less than 0", order, err)
	}
	log.Restart()
	if _, err := l.Compare(first, second); !errors.Is(err, hub.ErrOtherEpoch) {
		t.Errorf("Compare after a restart: got %v, want ErrOtherEpoch", err)
	}
	log.Fail(errors.New("it is full"))
	if _, err := l.Append(ctx, hub.Entry{}); err == nil {
		t.Error("Append to a log that fails: got no error, want one")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := l.Last(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Last after its context has ended: got %v, want context.Canceled", err)
	}
}
