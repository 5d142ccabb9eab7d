package proxies_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// beyondIdle is longer than the proxies' idle limit.
const beyondIdle = 3 * time.Second

// Streams pass through each proxy, from each framework and in each protocol, as they do
// without a proxy.
func TestProxies(t *testing.T) {
	for _, p := range proxies {
		for _, framework := range hosts.Frameworks() {
			t.Run(p.name+"/"+framework, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, framework, core.WithHeartbeat(250*time.Millisecond))
				gate := p.start(t, srv.Addr)
				var idle []*ssetest.Stream
				clients := make(map[string]through)
				for _, protocol := range p.protocols {
					c := through{srv, gate.url, programs.Client(t, gate.cert, protocol)}
					clients[protocol] = c
					idle = append(idle, c.open(t, "/idle"))
				}
				silent := time.After(beyondIdle)
				for _, protocol := range p.protocols {
					t.Run(protocol, func(t *testing.T) {
						c := clients[protocol]
						t.Run("prompt", c.prompt)
						t.Run("resumes", func(t *testing.T) { c.resumes(t, slices.Contains(p.breaks, protocol)) })
						t.Run("posts", func(t *testing.T) { c.posts(t, p.cuts && protocol == "HTTP/1.1") })
						t.Run("leaves", c.leaves)
					})
				}

				// Heartbeats have kept these streams open.
				<-silent
				for _, s := range idle {
					ssetest.Equal(t, s.Collect(1), []core.Event{{ID: "1", Data: "before"}})
					srv.GoOn("/idle")
				}
				for _, s := range idle {
					ssetest.Equal(t, s.All(), []core.Event{{ID: "2", Data: "behind"}})
					srv.Ended("/idle")
				}
			})
		}
	}
}

// The document has the results of these tests, and no blocks except those that they test.
func TestProxiesDocument(t *testing.T) {
	text := document(t)
	tried := map[string]int{"caddyfile": 1} // TestProxyCaddyEncodes
	for _, p := range proxies {
		tried[p.block]++
		if want := p.results(); !strings.Contains(text, want+"\n") {
			t.Errorf("docs/proxies.md does not have the row %s", want)
		}
	}
	for language, want := range tried {
		if got := strings.Count(text, "```"+language+"\n"); got != want {
			t.Errorf("docs/proxies.md: got %d blocks of %s, want the %d that are tested", got, language, want)
		}
	}
}

// Events pass one by one through a proxy that compresses them, or the document says that
// it must not compress.
func TestProxiesCompress(t *testing.T) {
	untouched := ssetest.Serve(t, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
		w.Header().Set("Cache-Control", "no-cache, no-transform")
		return hosts.Clock(r.Context())
	}))
	for _, p := range proxies {
		p := p.compressing()
		for _, framework := range hosts.Frameworks() {
			t.Run(p.name+"/"+framework, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, framework)
				gate := p.start(t, srv.Addr)
				for _, protocol := range p.protocols {
					t.Run(protocol, func(t *testing.T) {
						c := through{srv, gate.url, programs.Client(t, gate.cert, protocol)}
						if !c.compressed(t) {
							t.Error("got a stream that is not compressed, want a compressed one")
						}
						if !p.gathers {
							c.prompt(t)
						} else if got := c.late(t); got < limit {
							t.Errorf("got events within %v: say in docs/proxies.md that %s may compress", got, p.name)
						}
					})
				}
			})
		}
		if !p.heeds {
			continue
		}
		t.Run(p.name+"/no-transform", func(t *testing.T) {
			gate := p.start(t, strings.TrimPrefix(untouched, "http://"))
			for _, protocol := range p.protocols {
				t.Run(protocol, func(t *testing.T) {
					through{nil, gate.url, programs.Client(t, gate.cert, protocol)}.prompt(t)
				})
			}
		})
	}
}

// What the server has compressed passes through each proxy event by event, also through one that
// would hold back what it compresses itself. A client that decodes it sees that it broke off,
// whatever the proxy makes of its end.
func TestProxiesPassCompression(t *testing.T) {
	for _, p := range proxies {
		p := p.compressing()
		for _, framework := range hosts.Newest() {
			t.Run(p.name+"/"+framework, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, framework, core.WithHeartbeat(250*time.Millisecond), core.WithCompression())
				gate := p.start(t, srv.Addr)
				for _, protocol := range p.protocols {
					t.Run(protocol, func(t *testing.T) {
						c := through{srv, gate.url, programs.Client(t, gate.cert, protocol)}
						if !c.compressed(t) {
							t.Error("got a stream that is not compressed, want a compressed one")
						}
						c.prompt(t)
						c.resumes(t, true)
					})
				}
			})
		}
	}
}

// Caddy does not compress streams if its encode block names what to compress.
func TestProxyCaddyEncodes(t *testing.T) {
	p := proxies[slices.IndexFunc(proxies, func(p proxy) bool { return p.name == "Caddy" })]
	encode := strings.Replace(blockOf(t, "caddyfile", 1), "gzip", "gzip\nminimum_length 1", 1)
	p.edits = slices.Concat(p.edits, []string{"\ttls ", encode + "\n\ttls "})
	srv := serve(t, "net/http")
	gate := p.start(t, srv.Addr)
	for _, protocol := range p.protocols {
		t.Run(protocol, func(t *testing.T) {
			c := through{srv, gate.url, programs.Client(t, gate.cert, protocol)}
			if c.compressed(t) {
				t.Error("got a compressed stream, want one that is not")
			}
			c.prompt(t)
		})
	}
}

// Without heartbeats, a proxy cuts a silent stream, and some proxies do not notice that
// the client has left.
func TestProxiesWithoutHeartbeats(t *testing.T) {
	for _, p := range proxies {
		for _, framework := range hosts.Frameworks() {
			t.Run(p.name+"/"+framework, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, framework, core.WithHeartbeat(0))
				gate := p.start(t, srv.Addr)
				for _, protocol := range p.protocols {
					t.Run(protocol, func(t *testing.T) {
						c := through{srv, gate.url, programs.Client(t, gate.cert, protocol)}
						s := c.open(t, "/idle")
						ssetest.Equal(t, s.Collect(1), []core.Event{{ID: "1", Data: "before"}})
						if rest, _ := s.Rest(); len(rest) > 0 {
							t.Errorf("got %v, want none without the go-ahead", rest)
						}
						if end := srv.Ended("/idle"); !errors.Is(end.Cause, core.ErrClientGone) {
							t.Errorf("got cause %v, want %v", end.Cause, core.ErrClientGone)
						}
						if p.watches {
							c.leavesAtOnce(t)
						}
					})
				}
			})
		}
	}
}

// If a proxy does not watch its client, the first or second heartbeat finds out that the
// client has left, as docs/proxies.md says.
func TestProxiesHeartbeats(t *testing.T) {
	unwatched := map[string]string{"HAProxy": "option abortonclose"} // removed from the block
	tests := []struct {
		name, protocol string
		heartbeats     int
	}{
		{"Apache httpd", "HTTP/1.1", 2},
		{"Apache httpd", "HTTP/2", 1},
		{"HAProxy", "HTTP/1.1", 2},
	}
	for _, tt := range tests {
		for _, framework := range hosts.Frameworks() {
			t.Run(tt.name+"/"+framework+"/"+tt.protocol, func(t *testing.T) {
				t.Parallel()
				p := proxies[slices.IndexFunc(proxies, func(p proxy) bool { return p.name == tt.name })]
				if watch := unwatched[p.name]; watch != "" {
					p.edits = slices.Concat(p.edits, []string{watch, ""})
				}
				srv := serve(t, framework, core.WithHeartbeat(heartbeat))
				gate := p.start(t, srv.Addr)
				through{srv, gate.url, programs.Client(t, gate.cert, tt.protocol)}.leavesBy(t, tt.heartbeats)
			})
		}
	}
}

// Without X-Accel-Buffering, nginx holds events back.
func TestProxyNginxGathers(t *testing.T) {
	for _, p := range proxies {
		if p.program != "nginx" {
			continue
		}
		for header, gathered := range map[string]bool{"": true, "no": false} {
			t.Run(fmt.Sprintf("%s with X-Accel-Buffering %q", p.name, header), func(t *testing.T) {
				goOn := make(chan struct{})
				var over atomic.Bool
				upstream := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					if header != "" {
						w.Header().Set("X-Accel-Buffering", header)
					}
					_, _ = io.WriteString(w, "data: first\n\n")
					_ = http.NewResponseController(w).Flush()
					var end <-chan time.Time
					if gathered {
						end = time.After(500 * time.Millisecond)
					}
					select {
					case <-goOn:
					case <-r.Context().Done():
					case <-end:
					}
					over.Store(true)
				}))
				gate := p.start(t, strings.TrimPrefix(upstream, "http://"))
				c := through{nil, gate.url, programs.Client(t, gate.cert, "HTTP/1.1")}
				ssetest.Equal(t, c.open(t, "/").Collect(1), []core.Event{{Data: "first"}})
				if got, want := over.Load(), gathered; got != want {
					t.Errorf("the response was over before its first event arrived: got %t, want %t", got, want)
				}
				close(goOn)
			})
		}
	}
}

// serve serves streams without a reconnection time, which would be part of each stream's
// first event.
func serve(t *testing.T, framework string, opts ...core.Option) *hosts.Server {
	t.Helper()
	return hosts.Serve(t, framework, append(opts, core.WithRetry(0))...)
}

// A through is a client that reaches a server through a proxy.
type through struct {
	srv    *hosts.Server
	url    string
	client *http.Client
}

func (c through) open(t *testing.T, path string) *ssetest.Stream {
	t.Helper()
	return ssetest.Request{URL: c.url + path, Client: c.client}.Open(t)
}

// tries is how often something has to be late before the test blames the proxy and not a
// busy machine.
const tries = 20

// limit is how late an event may arrive.
const limit = 100 * time.Millisecond

// late returns the longest delay of a clock's events.
func (c through) late(t *testing.T) time.Duration {
	t.Helper()
	var late time.Duration
	s := c.open(t, "/clock")
	for range hosts.Ticks {
		ns, err := strconv.ParseInt(s.Next().Data, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		late = max(late, time.Since(time.Unix(0, ns)))
	}
	return late
}

// prompt: each event arrives in time. On a busy machine, one of several tries is enough.
func (c through) prompt(t *testing.T) {
	t.Helper()
	var late []time.Duration
	for range tries {
		late = append(late, c.late(t))
		if slices.Min(late) <= limit {
			t.Logf("%d events, the slowest after %v", hosts.Ticks, slices.Min(late))
			return
		}
	}
	t.Errorf("got delays of %v, want one of at most %v", late, limit)
}

// compressed reports whether a client that accepts compression gets a compressed clock.
func (c through) compressed(t *testing.T) bool {
	t.Helper()
	res, err := c.client.Get(c.url + "/clock")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.Uncompressed
}

// resumes: a client that comes back misses nothing.
func (c through) resumes(t *testing.T, breaks bool) {
	all := hosts.Events()
	s := c.open(t, "/events")
	ssetest.Equal(t, s.Collect(1), all[:1])
	c.srv.GoOn("/events")
	ssetest.Equal(t, s.Collect(hosts.Cut-1), all[1:hosts.Cut])
	c.srv.GoOn("/events")
	rest, err := s.Rest()
	ssetest.Equal(t, rest, nil)
	if got := err != nil; got != breaks {
		t.Errorf("the client sees that a stream broke off: got %t (%v), want %t", got, err, breaks)
	}
	s.Resume()
	ssetest.Equal(t, s.All(), all[hosts.Cut:])
	s.Resume()
	if got, want := s.Status, http.StatusNoContent; got != want {
		t.Errorf("got status %d at the end, want %d", got, want)
	}
}

// posts: a POST is answered with a complete stream, in one of several tries if the proxy
// cuts some.
func (c through) posts(t *testing.T, cuts bool) {
	const text = "Say  it: h\u00e9llo,  \u4e16\u754c!"
	want := hosts.Tokens(text)
	var got []core.Event
	for range tries {
		got = ssetest.Request{URL: c.url + "/tokens", Client: c.client, Body: text}.Open(t).All()
		if !cuts || len(got) == len(want) {
			break
		}
		t.Logf("the proxy cut the stream after %d events", len(got))
	}
	ssetest.Equal(t, got, want)
}

// leaves: the generator ends when the client leaves, at once or after a heartbeat.
func (c through) leaves(t *testing.T) {
	s := c.open(t, "/idle")
	s.Next()
	s.Close()
	if end := c.srv.Ended("/idle"); !errors.Is(end.Cause, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", end.Cause, core.ErrClientGone)
	}
}

// leavesAtOnce: the generator ends long before the proxy's idle limit, in one of several
// tries.
func (c through) leavesAtOnce(t *testing.T) {
	const limit = 300 * time.Millisecond // a third of the idle limit
	var took []time.Duration
	for range tries {
		s := c.open(t, "/idle")
		s.Next()
		begin := time.Now()
		s.Close()
		c.srv.Ended("/idle")
		if took = append(took, time.Since(begin)); slices.Min(took) <= limit {
			return
		}
	}
	t.Errorf("got the end of the generator after %v, want it within %v", took, limit)
}

// heartbeat is so short that two heartbeats come before the proxy's idle limit.
const heartbeat = 300 * time.Millisecond

// leavesBy: the generator ends with that heartbeat, in one of several tries.
func (c through) leavesBy(t *testing.T, heartbeats int) {
	t.Helper()
	want := time.Duration(heartbeats) * heartbeat
	var took []time.Duration
	for range tries {
		s := c.open(t, "/idle")
		s.Next()
		begin := time.Now()
		s.Close()
		c.srv.Ended("/idle")
		took = append(took, time.Since(begin))
		if off := took[len(took)-1] - want; off.Abs() < heartbeat/2 {
			return
		}
	}
	t.Errorf("got the end of the generator after %v, want it by heartbeat %d, one each %v", took, heartbeats, heartbeat)
}
