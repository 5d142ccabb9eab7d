package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A server's listener is closed, and it serves another one: the streams of both go on, and
// its shutdown ends them cleanly.
func TestListenerAgain(t *testing.T) {
	for _, name := range hosts {
		t.Run(name, func(t *testing.T) {
			s := &server{hub: hub.New()}
			run, shutdown := s.mount(name)
			var (
				streams []chan string
				last    net.Listener
				ended   chan error
			)
			for n := range 2 {
				ln, err := listener(nil)
				if err != nil {
					t.Fatal(err)
				}
				served := make(chan error, 1)
				go func() { served <- run(ln) }()
				for _, mode := range modes {
					streams = append(streams, follow(t, name, ln.Addr().String(), mode))
				}
				hosttest.Eventually(t, "all sessions are there", func() bool { return s.streams.Len() == len(streams) })
				if last, ended = ln, served; n == 0 {
					_ = ln.Close()
					_ = hosttest.Receive(t, served, "the end of Serve")
				}
			}
			if _, err := s.hub.Publish(t.Context(), "a", core.Event{Data: "hello"}); err != nil {
				t.Fatal(err)
			}
			for i, stream := range streams {
				if got := hosttest.Receive(t, stream, "an event"); got != "hello" {
					t.Errorf("stream %d: got %s", i, got)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := s.streams.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			// fasthttp gives a shutdown up at a listener that it cannot close.
			if err := shutdown(ctx); err != nil && !(strings.HasPrefix(name, "fiber") && errors.Is(err, net.ErrClosed)) {
				t.Error(err)
			}
			_ = last.Close()
			_ = hosttest.Receive(t, ended, "the end of Serve after the shutdown")
			for i, stream := range streams {
				if got := hosttest.Receive(t, stream, "the end"); got != "<nil>" {
					t.Errorf("stream %d: got the end %s, want a clean one", i, got)
				}
			}
		})
	}
}

// follow sends the data of a stream's events, and then how it ends.
func follow(t *testing.T, name, addr, mode string) chan string {
	t.Helper()
	way := roads[0]
	if name == hosts[tlsHost] {
		way = roads[1]
	}
	transport := way.transport(func(c net.Conn) net.Conn { return c })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s://%s/%s/events/x?topic=a", way.scheme, addr, mode), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	said := make(chan string, 10)
	go func() {
		for e, err := range core.Read(res.Body) {
			if err != nil {
				said <- fmt.Sprint(err)
				return
			}
			said <- e.Data
		}
		said <- "<nil>"
	}()
	return said
}
