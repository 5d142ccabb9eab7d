package main

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestFlags(t *testing.T) {
	for _, test := range []struct {
		name string
		args string
		code int
		want string // part of its output
	}{
		{"help", "-help", 0, "-tick"},
		{"an unknown flag", "-ticks 1s", 2, "-ticks"},
		{"an argument", "gin", 2, `unexpected argument "gin"`},
		{"an address without a port", "-addr 127.0.0.1", 2, `-addr "127.0.0.1"`},
		{"a port that is not a number", "-addr 127.0.0.1:http", 2, "want a port from 0 to 65530"},
		{"a port that is too high", "-addr 127.0.0.1:65536", 2, "want a port from 0 to 65530"},
		{"no room for six ports", "-addr 127.0.0.1:65531", 2, "want a port from 0 to 65530"},
		{"a port below zero", "-addr 127.0.0.1:-1", 2, "want a port from"},
		{"an unknown framework", "-framework chi", 2, `-framework "chi" is unknown: want gin, echo4, echo5, fiber2, fiber3 or nethttp`},
		{"a tick that is not a duration", "-tick 1", 2, "-tick"},
		{"a tick of zero", "-tick 0s", 2, "-tick 0s is out of range"},
		{"a negative tick", "-tick -1s", 2, "-tick -1s is out of range"},
		{"a tick that is too long", "-tick 2h", 2, "-tick 2h0m0s is out of range"},
		{"a certificate without a key", "-cert main.go", 2, `-cert "main.go" and -key "" cannot be used`},
		{"a host that is not this machine", "-addr 203.0.113.1:0", 1, "demo: gin: listen "},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // so that a server that starts by mistake stops at once
			var stderr strings.Builder
			if got := run(ctx, strings.Fields(test.args), io.Discard, &stderr); got != test.code {
				t.Errorf("got exit code %d, want %d", got, test.code)
			}
			if got := stderr.String(); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
		})
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr strings.Builder
	code := run(ctx, []string{"-framework", "echo5", "-addr", l.Addr().String()}, &stdout, &stderr)
	if got, want := code, 1; got != want {
		t.Errorf("got exit code %d, want %d", got, want)
	}
	if got, want := stderr.String(), "echo v5 cannot listen on "+l.Addr().String()+": the port is in use"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
	if got := stdout.String(); got != "" {
		t.Errorf("got %q printed, want nothing", got)
	}
}

// The ports are consecutive. A neighbour may be in use, so a few are tried.
func TestConsecutivePorts(t *testing.T) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		sites, err := listen(config{host: "127.0.0.1", port: min(port, 65530), frameworks: frameworks})
		if err != nil {
			continue
		}
		for i, s := range sites {
			if got, want := s.url("127.0.0.1"), "http://127.0.0.1:"+strconv.Itoa(min(port, 65530)+i); got != want {
				t.Errorf("%s: got %s, want %s", s.name, got, want)
			}
			_ = s.listener.Close()
		}
		return
	}
	t.Fatal("did not find six free consecutive ports")
}

func TestURL(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := site{listener: l}
	port := strconv.Itoa(s.port())
	for host, want := range map[string]string{
		"":          "http://localhost:" + port,
		"0.0.0.0":   "http://localhost:" + port,
		"::":        "http://localhost:" + port,
		"127.0.0.1": "http://127.0.0.1:" + port,
		"::1":       "http://[::1]:" + port,
		"example":   "http://example:" + port,
	} {
		if got := s.url(host); got != want {
			t.Errorf("host %q: got %s, want %s", host, got, want)
		}
	}
}

// A stop ends the open streams of all six frameworks, cleanly and soon, each with a
// reconnection time.
func TestShutdown(t *testing.T) {
	ssetest.NoLeaks(t, "fasthttp.updateServerDate", "fasthttp.(*workerPool).Start")
	r := start(t, "1h")
	if got, want := len(r.urls), 6; got != want {
		t.Fatalf("got %d addresses, want %d", got, want)
	}
	const perFramework = 8
	type result struct {
		events []core.Event
		err    error
	}
	ended := make(chan result)
	paths := []string{"/stream?user_id=a", "/time", "/events", "/pause", "/fail", "/chat?name=Ada", "/ticker", "/news"}
	for _, url := range r.urls {
		for _, path := range paths[:perFramework] {
			res := do(t, url, request{path: path})
			go func() {
				var got result
				for e, err := range (&core.Parser{Comments: true}).Read(res.Body) {
					if err != nil {
						got.err = err
						break
					}
					got.events = append(got.events, e)
				}
				ended <- got
			}()
		}
	}
	begin := time.Now()
	r.stop()
	for range len(r.urls) * perFramework {
		got := <-ended
		if got.err != nil {
			t.Errorf("got error %v, want a clean end", got.err)
		}
		if n := len(got.events); n == 0 || got.events[n-1].Retry < time.Second || got.events[n-1].Retry > 5*time.Second {
			t.Errorf("got %+v, want a reconnection time from 1 to 5 s at the end", got.events)
		}
	}
	if code, ok := r.wait(); !ok || code != 0 {
		t.Errorf("got exit code %d (%t), want 0", code, ok)
	}
	if took := time.Since(begin); took > limit {
		t.Errorf("the demo took %v to stop, want at most %v", took, limit)
	}
	if got, want := <-r.stdout, "Stopping: 48 open streams"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
}

// limit is how long the demo may take to stop, on a busy machine.
const limit = 30 * time.Second

// A browser opens connections in advance, which must not hold up the end.
func TestShutdownWithIdleConnections(t *testing.T) {
	r := start(t, "1h")
	for name, url := range r.urls {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer c.Close()
	}
	begin := time.Now()
	r.stop()
	if _, ok := r.wait(); !ok {
		t.Fatal("the demo did not stop")
	}
	if took := time.Since(begin); took > limit {
		t.Errorf("the demo took %v to stop, want at most %v", took, limit)
	}
}

func TestShutdownSays(t *testing.T) {
	var stdout, stderr output
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"-addr", "127.0.0.1:0"}, &stdout, &stderr); code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, &stderr)
	}
	for _, want := range []string{
		"gin       http://127.0.0.1:", "echo v4   http://127.0.0.1:", "echo v5   http://127.0.0.1:",
		"fiber v2  http://127.0.0.1:", "fiber v3  http://127.0.0.1:", "net/http  http://127.0.0.1:",
		"Stopping: 0 open streams", "All streams have ended and the servers have stopped",
	} {
		if got := stdout.String(); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}
