package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

func quoteOf(t *testing.T, e core.Event) quote {
	t.Helper()
	var q quote
	if err := json.Unmarshal([]byte(e.Data), &q); err != nil || e.Type != "" || e.ID == "" {
		t.Fatalf("got %+v (%v), want a price", e, err)
	}
	return q
}

// Prices are the same for the same seed, and stay prices.
func TestMarket(t *testing.T) {
	walk := func(seed uint64) (quotes []quote) {
		m := newMarket(seed)
		for range 10_000 {
			m.step(func(q quote) { quotes = append(quotes, q) })
		}
		return quotes
	}
	first := walk(7)
	if !slices.Equal(first, walk(7)) {
		t.Error("got other prices for the same seed")
	}
	if slices.Equal(first, walk(8)) {
		t.Error("got the same prices for another seed")
	}
	moved := 0
	for i, q := range first {
		if want := listing[i%len(listing)]; q.Symbol != want.symbol || q.N != i/len(listing)+1 {
			t.Fatalf("price %d: got %+v, want number %d of %s", i, q, i/len(listing)+1, want.symbol)
		}
		if q.Price < q.Open/2 || q.Price > 2*q.Open {
			t.Fatalf("price %d: got %+v, want a price near the first one", i, q)
		}
		if i >= len(listing) && q.Price != first[i-len(listing)].Price {
			moved++
		}
	}
	if moved < len(first)/2 {
		t.Errorf("%d of %d prices have moved, want most", moved, len(first))
	}
}

func TestTicker(t *testing.T) {
	onAll(t, "1ms", func(t *testing.T, framework, base string) {
		s := ssetest.Open(t, base+"/ticker?symbols=OAK,ASH,OAK")
		last := map[string]int{}
		for range 50 {
			q := quoteOf(t, s.Next())
			if q.N <= last[q.Symbol] {
				t.Errorf("%s: got number %d after %d", q.Symbol, q.N, last[q.Symbol])
			}
			last[q.Symbol] = q.N
		}
		s.Close()
		if got, want := len(last), 2; got != want || last["OAK"] == 0 || last["ASH"] == 0 {
			t.Errorf("got prices of %v, want OAK and ASH", last)
		}

		all := map[string]bool{}
		for _, e := range ssetest.Open(t, base+"/ticker").Collect(20 * len(listing)) {
			all[quoteOf(t, e).Symbol] = true
		}
		if got, want := len(all), len(listing); got != want {
			t.Errorf("got %d symbols, want all %d", got, want)
		}

		for symbols, unknown := range map[string]string{"PALM": "PALM", "OAK,PALM": "PALM", "OAK,": "", "oak": "oak", "*": "*"} {
			contentType, body := status(t, base, request{path: "/ticker?symbols=" + symbols}, http.StatusBadRequest)
			wantError(t, framework, contentType, body, `unknown symbol "`+unknown+`": try ASH,BIRCH,CEDAR,LARCH,MAPLE,OAK`)
		}
	})
}

// serveDemo serves a demo without ticks: the test moves the prices.
func serveDemo(t *testing.T, f framework, network, addr string) (*demo, net.Addr) {
	t.Helper()
	streams := new(core.Group)
	d := newDemo(time.Hour, streams, log.New(io.Discard, "", 0))
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	s := site{framework: f, listener: l, server: f.build(d)}
	hosttest.Run(t, l, s.server.Serve, func(context.Context) error {
		return shutdown(io.Discard, streams, d, []site{s})
	})
	return d, l.Addr()
}

// A client that does not read, while far more prices are made than fit between it and
// the server, skips to the latest ones and does not get a gap. It uses a Unix socket,
// because a slow TCP client may have to wait for the kernel's zero-window probes, which
// become rare.
func TestTickerSlowClient(t *testing.T) {
	const steps = 10_000
	for _, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			d, addr := serveDemo(t, f, "unix", filepath.Join(t.TempDir(), "demo"))
			conn, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, "GET /ticker HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			res, body := response(t, conn)
			if got, want := res.StatusCode, http.StatusOK; got != want {
				t.Fatalf("got status %d, want %d", got, want)
			}
			for range steps {
				d.trade()
			}
			events, at := 0, map[string]int{}
			last := map[string]float64{}
			for e, err := range core.Read(body) {
				if err != nil {
					t.Fatalf("after %d events: %v", events, err)
				}
				q := quoteOf(t, e) // fails for a gap
				if q.N <= at[q.Symbol] {
					t.Fatalf("%s: got number %d after %d", q.Symbol, q.N, at[q.Symbol])
				}
				at[q.Symbol], last[q.Symbol] = q.N, q.Price
				if events++; q.N == steps && q.Symbol == "OAK" { // the last price
					break
				}
			}
			for i, l := range listing {
				if got, want := at[l.symbol], steps; got != want {
					t.Errorf("%s: got last number %d, want %d", l.symbol, got, want)
				}
				if got, want := last[l.symbol], float64(d.market.cents[i])/100; got != want {
					t.Errorf("%s: got last price %v, want %v", l.symbol, got, want)
				}
			}
			if made := steps * len(listing); events > made/2 {
				t.Errorf("got %d of %d events, want a client that skips most of them", events, made)
			}
		})
	}
}

// A client that comes while nothing moves gets the latest price of each symbol.
func TestTickerBegins(t *testing.T) {
	for _, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			d, addr := serveDemo(t, f, "tcp", "127.0.0.1:0")
			for range 100 {
				d.trade()
			}
			for i, e := range ssetest.Open(t, "http://"+addr.String()+"/ticker").Collect(len(listing)) {
				if q := quoteOf(t, e); q.Symbol != listing[i].symbol || q.N != 100 {
					t.Errorf("got %+v, want number 100 of %s", q, listing[i].symbol)
				}
			}
		})
	}
}

// Prices move only while somebody watches.
func TestTickerRests(t *testing.T) {
	d := newDemo(time.Millisecond, new(core.Group), log.New(io.Discard, "", 0))
	defer d.crew.end()
	for range 3 {
		before := d.market.n
		s, err := d.ticker(t.Context(), "OAK")
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range s {
			if err != nil {
				t.Fatal(err)
			}
			if quoteOf(t, e).N > before+2 {
				break
			}
		}
		rests := make(chan struct{})
		go func() {
			d.crew.working.Wait()
			close(rests)
		}()
		select {
		case <-rests:
		case <-time.After(patience):
			t.Fatal("the prices still move although nobody watches")
		}
	}
}

// The news has whole sections, with their history.
func TestNews(t *testing.T) {
	onAll(t, "1ms", func(t *testing.T, framework, base string) {
		const n = firstNews + 8
		all := withoutRetry(t, ssetest.Open(t, base+"/news").Collect(n))
		for i, e := range all {
			var got item
			if err := json.Unmarshal([]byte(e.Data), &got); err != nil || e.Type != "" || e.ID == "" {
				t.Fatalf("got %+v (%v), want an item", e, err)
			}
			if want := (item{sections[i%4], headlines[i%len(headlines)], got.Time}); got != want || time.Since(got.Time) > time.Minute {
				t.Errorf("item %d: got %+v, want %+v", i, got, want)
			}
		}

		// A new client gets the history, and one that comes back gets what it missed.
		ssetest.Equal(t, withoutRetry(t, ssetest.Open(t, base+"/news").Collect(n)), all)
		back := ssetest.Request{URL: base + "/news", Header: http.Header{"Last-Event-Id": {all[5].ID}}}.Open(t)
		ssetest.Equal(t, withoutRetry(t, back.Collect(n-6)), all[6:])

		var sport []core.Event
		for i, e := range all {
			if sections[i%4] == "sport" {
				sport = append(sport, e)
			}
		}
		ssetest.Equal(t, withoutRetry(t, ssetest.Open(t, base+"/news?section=sport").Collect(len(sport))), sport)

		contentType, body := status(t, base, request{path: "/news?section=x"}, http.StatusBadRequest)
		wantError(t, framework, contentType, body, `unknown section "x": try town or science or sport or weather`)
	})
}

func TestHeadlines(t *testing.T) {
	seen := map[string]bool{}
	for _, h := range headlines {
		if seen[h] || strings.TrimSpace(h) != h || len(h) < 10 || len(h) > 80 {
			t.Errorf("got headline %q, want another one of 10 to 80 bytes", h)
		}
		seen[h] = true
	}
	if got, want := len(headlines)%len(sections), 0; got != want {
		t.Errorf("%d headlines do not belong to a section, want %d", got, want)
	}
}
