package host_test

import (
	"context"
	"errors"
	"io"
	"net/http/httputil"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// The zero Frames have no chunk, above all not the last one.
func TestNoFrames(t *testing.T) {
	var f host.Frames
	if got := f.Bytes(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	if got := f.Chunk(); len(got) != 0 {
		t.Errorf("got the chunk %q", got)
	}
}

// large is an event that is sent in many pieces.
var large = strings.Repeat("0123456789abcdef", 1<<18)

// A failure after which nothing is left to send does not end a response in chunks cleanly.
func TestDetachedFailures(t *testing.T) {
	bad := core.Event{Type: "a\nb"}
	for _, test := range []struct {
		name string
		fail func(yield func(core.Event, error) bool)
		opts []core.Option
	}{
		{"an event that cannot be encoded", func(yield func(core.Event, error) bool) { yield(bad, nil) }, nil},
		{"an error", func(yield func(core.Event, error) bool) { yield(core.Event{}, errGenerator) }, nil},
		{
			"an error event that cannot be encoded", func(yield func(core.Event, error) bool) { yield(bad, nil) },
			[]core.Option{core.WithErrorEvent(func(error) core.Event { return bad })},
		},
		{
			"an error event's function that panics", func(yield func(core.Event, error) bool) { yield(bad, nil) },
			[]core.Option{core.WithErrorEvent(func(error) core.Event { panic("oops") })},
		},
		{
			"an error event's function that ends its goroutine", func(yield func(core.Event, error) bool) { yield(bad, nil) },
			[]core.Option{core.WithErrorEvent(func(error) core.Event { runtime.Goexit(); return core.Event{} })},
		},
	} {
		for _, window := range []time.Duration{0, time.Hour} { // the last event does not wait, or does
			t.Run(test.name, func(t *testing.T) {
				g := detached(t, func(*host.Session) core.Stream {
					return func(yield func(core.Event, error) bool) {
						yield(core.Event{Data: "1"}, nil)
						yield(core.Event{Data: "2"}, nil)
						test.fail(yield)
					}
				}, append(test.opts, core.WithFlushWindow(window))...)
				if got, err := g.events(); datas(got) != "1 2" || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %q and the end %v, want 1 2 and a broken response", datas(got), err)
				}
				if sum := soon(t, g.sums, "the end"); sum.Err == nil || sum.Cause != nil || sum.Events != 2 {
					t.Errorf("got summary %+v, want 2 events and a failure", sum)
				}
			})
		}
	}
}

// Heartbeats that are more frequent than the flush window do not hold events back.
func TestHandoverHeartbeatWithinFlushWindow(t *testing.T) {
	publish := make(chan string, 2)
	g := detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
		select {
		case data := <-publish:
			*frames = append(*frames, frame(data))
		default:
		}
		return false, nil
	}}), core.WithHeartbeat(5*time.Millisecond), core.WithFlushWindow(500*time.Millisecond))
	publish <- "1"
	wake(g.session)
	next := pull(t, g)
	if got := next(); got != "1" {
		t.Errorf("got %q, want 1", got)
	}
	publish <- "2"
	wake(g.session)
	if got := next(); got != "2" {
		t.Errorf("got %q, want 2", got)
	}
}

// pull returns a function that returns the next event's data.
func pull(t *testing.T, g *guest) (next func() string) {
	t.Helper()
	events := make(chan string)
	go func() {
		defer close(events)
		for e, err := range core.Read(g.body()) {
			if err != nil {
				return
			}
			select {
			case events <- e.Data:
			case <-t.Context().Done():
				return
			}
		}
	}()
	return func() string { return soon(t, events, "an event") }
}

// A large event comes whole, however it is sent, and so do the events before and after it.
func TestLargeEvents(t *testing.T) {
	give := func() [][]byte { return [][]byte{frame("1"), frame(large), frame("2"), frame(large), frame("3")} }
	want := "1 " + large + " 2 " + large + " 3"
	for name, stream := range map[string]func(*host.Session) core.Stream{
		"handed over": handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
			*frames = append(*frames, give()...)
			return false, io.EOF
		}}),
		"forwarded": func(*host.Session) core.Stream {
			return func(yield func(core.Event, error) bool) {
				yield(core.Event{Data: "0"}, nil)
				yield(core.Event{Data: "waits"}, nil)
				feedOf(yield).Forward(give())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := want
			if name == "forwarded" {
				want = "0 waits " + want
			}
			g := detached(t, stream)
			got, err := g.events()
			if datas(got) != want || err != nil {
				t.Errorf("got %d events and the end %v, want all of them and a clean end", len(got), err)
			}
			if sum := soon(t, g.sums, "the end"); sum.Events != len(strings.Fields(want)) {
				t.Errorf("got %d events in the summary", sum.Events)
			}
		})
	}
}

// A session that ends in the middle of a large event sends all of it, and no other event.
func TestShutdownWithinLargeEvent(t *testing.T) {
	event := large[:3<<19] // more than the sockets keep, and read well within the grace of 1 s
	for name, stream := range map[string]func(*host.Session) core.Stream{
		"handed over": handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
			*frames = append(*frames, frame(event), frame("never"))
			return true, nil
		}}),
		"forwarded": func(*host.Session) core.Stream {
			return func(yield func(core.Event, error) bool) {
				feedOf(yield).Forward([][]byte{frame(event), frame("never")})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				rest []byte
				err  error
			)
			want := event[1:] + "\n\nretry: 1000\n"
			for range 3 { // the grace may be over before a busy machine has read it
				var group core.Group
				g := detached(t, stream, core.WithGroup(&group), core.WithHeartbeat(0))
				body := httputil.NewChunkedReader(g.client)
				if _, err := io.ReadFull(body, make([]byte, len(": open\n\ndata: 0"))); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // nothing waits yet
				_ = group.Shutdown(ctx)
				if rest, err = io.ReadAll(body); string(rest) == want && err == nil {
					return
				}
			}
			t.Errorf("got %d bytes and the end %v, want %d and a clean end", len(rest), err, len(want))
		})
	}
}

// Clients that do not read share a large event. None of them has a copy.
func TestStalledClientsShareLargeEvent(t *testing.T) {
	const clients = 20
	shared := frame(large)
	var stuck []*guest
	for range clients {
		given := false
		stuck = append(stuck, detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
			if !given {
				*frames = append(*frames, shared)
			}
			given = true
			return false, nil
		}}), core.WithWriteTimeout(0)))
	}
	before := heap()
	for _, g := range stuck {
		wake(g.session)
	}
	for _, g := range stuck { // each is stuck when it has sent something
		if _, err := io.ReadFull(g.client, make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if got, limit := heap()-before, int64(clients*len(large)/4); got > limit {
		t.Errorf("%d clients that do not read hold %d bytes, want at most %d", clients, got, limit)
	}
	for _, g := range stuck {
		g.session.ClientGone()
	}
	for _, g := range stuck {
		if sum := soon(t, g.sums, "the end"); !errors.Is(sum.Cause, core.ErrClientGone) {
			t.Errorf("got cause %v", sum.Cause)
		}
	}
}

// A large event to a client that does not read ends like any write: when the session has
// ended, all pieces together have the grace of one write.
func TestLargeEventToSlowClientAtTheEnd(t *testing.T) {
	g := detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
		*frames = append(*frames, frame(large))
		return true, nil
	}}), core.WithMaxDuration(50*time.Millisecond), core.WithWriteTimeout(0))
	if sum := soon(t, g.sums, "the end"); !errors.Is(sum.Cause, core.ErrMaxDuration) {
		t.Errorf("got cause %v, want %v", sum.Cause, core.ErrMaxDuration)
	}
	if _, err := g.events(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got the end %v, want a broken response", err)
	}
}
