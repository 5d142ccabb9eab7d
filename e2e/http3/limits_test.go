package http3_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// QUIC closes a silent connection after MaxIdleTimeout. Heartbeats keep it open, and so
// do quic-go's own keep-alives.
func TestIdleConnection(t *testing.T) {
	t.Parallel()
	hosttest.Again(t, keepsOpen)
}

func keepsOpen(t testing.TB) {
	const idleTimeout = 3 * time.Second
	goOn := make(chan struct{})
	silent := core.WithHeartbeat(0)
	stream := func(opts core.Option, keepAlive time.Duration) *ssetest.Stream {
		handler := nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			ctx := r.Context()
			return func(yield func(core.Event, error) bool) {
				if !yield(core.Event{Data: "before"}, nil) {
					return
				}
				select {
				case <-goOn:
					yield(core.Event{Data: "after"}, nil)
				case <-ctx.Done():
				}
			}
		}, opts)
		addr := run(t, &http3.Server{Handler: handler, QUICConfig: &quic.Config{MaxIdleTimeout: idleTimeout, KeepAlivePeriod: keepAlive}})
		tr := dialed(t, addr)
		tr.QUICConfig = &quic.Config{} // without keep-alives
		return open(t, addr, tr)
	}
	begin := time.Now()
	kept := map[string]*ssetest.Stream{
		"heartbeats":  stream(core.WithHeartbeat(50*time.Millisecond), 0),
		"keep-alives": stream(silent, 50*time.Millisecond),
	}
	if rest, err := stream(silent, 0).Rest(); len(rest) > 0 || err == nil {
		t.Errorf("on a silent connection: got %+v and the end %v, want a break", rest, err)
	}
	<-time.After(time.Until(begin.Add(2 * idleTimeout)))
	close(goOn)
	for what, s := range kept {
		if rest, err := s.Rest(); len(rest) != 1 || rest[0].Data != "after" || err != nil {
			t.Errorf("%s: got %+v and the end %v, want one event and a clean end", what, rest, err)
		}
	}
}

// A connection carries at most MaxIncomingStreams requests, and the next one waits.
func TestManyStreams(t *testing.T) {
	for _, tt := range []struct {
		config *quic.Config
		most   int
	}{
		{nil, 100},
		{&quic.Config{MaxIncomingStreams: 3}, 3},
	} {
		t.Run(fmt.Sprint(tt.most), func(t *testing.T) {
			began, goOn := make(chan struct{}, tt.most+1), make(chan struct{})
			handler := nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				ctx := r.Context()
				began <- struct{}{}
				return func(yield func(core.Event, error) bool) {
					if !yield(core.Event{Data: "before"}, nil) {
						return
					}
					for range core.Receive(ctx, goOn) {
						if !yield(core.Event{Data: "again"}, nil) {
							return
						}
					}
				}
			})
			addr := run(t, &http3.Server{Handler: handler, QUICConfig: tt.config})
			tr := dialed(t, addr)
			var streams []*ssetest.Stream
			for range tt.most {
				streams = append(streams, open(t, addr, tr))
				hosttest.Receive(t, began, "a request")
			}
			ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
			defer cancel()
			next, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr.String()+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			answered := make(chan error, 1)
			go func() {
				res, err := tr.RoundTrip(next)
				if err == nil {
					_ = res.Body.Close()
				}
				answered <- err
			}()
			for range streams { // they go on meanwhile
				select {
				case goOn <- struct{}{}:
				case <-ctx.Done():
					t.Fatal("a stream has ended")
				}
			}
			select {
			case <-began:
				t.Errorf("request %d did not wait", tt.most+1)
			default:
			}
			streams[0].Close()
			if err := hosttest.Receive(t, answered, "the answer to the last request"); err != nil {
				t.Error(err)
			}
		})
	}
}
