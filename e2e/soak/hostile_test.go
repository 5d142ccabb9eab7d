package main

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// Hostile clients ask for compression, sometimes, but not of a flood.
func TestHostileEncodings(t *testing.T) {
	seen := make(chan string, 1)
	p := listening(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- strings.Split(r.URL.Path, "/")[2] + ": " + cmp.Or(r.Header.Get("Accept-Encoding"), "identity")
	}))
	a := &attack{ctx: t.Context(), random: newSoak(options{seed: *seed}).random(0), server: p}
	defer func() { a.close() }()
	for name, ask := range map[string]func(stream string) error{
		"HTTP/1.1": func(stream string) error { _, err := a.open(plainHost, stream); return err },
		"HTTP/2": func(stream string) error {
			open, leave := a.http2()
			defer leave()
			reset, err := open(stream)
			if err == nil {
				reset()
			}
			return err
		},
	} {
		got := map[string]int{}
		const times = 40
		for range times {
			for _, stream := range []string{"events", "flood"} {
				if err := ask(stream); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got[hosttest.Receive(t, seen, "the request")]++
			}
		}
		if got["events: gzip"] == 0 || got["events: identity"] == 0 || got["flood: identity"] != times {
			t.Errorf("%s: got %v", name, got)
		}
	}
	a.whole = true
	for range 10 {
		if head := a.head(http.MethodGet, "events"); strings.Contains(head, "gzip") {
			t.Errorf("a client that wants no compression sends %q", head)
		}
	}
}

// listening returns a process that is only listeners, with this process's handler behind them.
func listening(t *testing.T, h http.Handler) *process {
	t.Helper()
	plain, encrypted := httptest.NewUnstartedServer(h), httptest.NewUnstartedServer(h)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	t.Cleanup(plain.Close)
	encrypted.EnableHTTP2 = true
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	p := &process{addrs: slices.Repeat([]string{plain.Listener.Addr().String()}, len(hosts))}
	p.addrs[tlsHost] = encrypted.Listener.Addr().String()
	p.up.Store(true)
	return p
}
