package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/ssetest"
)

// pass lets time pass in a bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in a bubble only

// waits runs a stream whose nth response (from 0) comes from answer, and returns the
// first n waits, after it has compared them with the clock.
func waits(t *testing.T, n int, answer func(n int) *http.Response, opts ...client.Option) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []time.Duration
	var lost time.Time
	calls := 0
	opts = append(opts,
		inMemory(func(*http.Request) (*http.Response, error) {
			if calls > 0 {
				if passed := time.Since(lost); passed != got[calls-1] {
					t.Errorf("wait %d took %v, want %v", calls, passed, got[calls-1])
				}
			}
			calls++
			if res := answer(calls - 1); res != nil {
				return res, nil
			}
			return nil, errors.New("the network is down")
		}),
		client.WithDisconnected(func(_ error, wait time.Duration) {
			lost = time.Now()
			if got = append(got, wait); len(got) == n {
				cancel()
			}
		}))
	_, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(ctx), opts...))
	wantErr(t, err, context.Canceled)
	return got
}

func TestBackoff(t *testing.T) {
	const s = time.Second
	down := func(int) *http.Response { return nil }
	event := func(more string) func(int) *http.Response {
		return func(int) *http.Response { return response(200, strings.NewReader(more+"data: x\n\n")) }
	}
	firstly := func(wire string) func(int) *http.Response {
		return func(n int) *http.Response {
			if n == 0 {
				return response(200, strings.NewReader(wire))
			}
			return nil
		}
	}
	busy := func(header ...string) func(int) *http.Response {
		return func(int) *http.Response { return response(503, strings.NewReader("busy"), header...) }
	}
	type bounds struct{ least, extra time.Duration }
	tests := []struct {
		name   string
		answer func(int) *http.Response
		opts   []client.Option
		want   []bounds
	}{
		{"the default", down, nil, []bounds{{3 * s, 3 * s}, {3 * s, 6 * s}, {3 * s, 12 * s}, {3 * s, 24 * s}, {3 * s, 30 * s}, {3 * s, 30 * s}}},
		{"healthy connections", event(""), nil, []bounds{{3 * s, 3 * s}, {3 * s, 3 * s}, {3 * s, 3 * s}}},
		{"responses without an event", func(int) *http.Response { return response(200, strings.NewReader(": open\n\nid: 1\n\n")) }, nil, []bounds{{3 * s, 3 * s}, {3 * s, 6 * s}, {3 * s, 12 * s}}},
		{
			"comments that are shown are no events", func(int) *http.Response { return response(200, strings.NewReader(": open\n\nretry: 3000\n\n")) },
			[]client.Option{client.WithComments()}, []bounds{{3 * s, 3 * s}, {3 * s, 6 * s}},
		},
		{"an event between failures", func(n int) *http.Response {
			if n == 2 {
				return event("")(n)
			}
			return nil
		}, nil, []bounds{{3 * s, 3 * s}, {3 * s, 6 * s}, {3 * s, 3 * s}, {3 * s, 6 * s}}},
		{"bounds", down, []client.Option{client.WithBackoff(s, 5*s)}, []bounds{{s, s}, {s, 2 * s}, {s, 4 * s}, {s, 5 * s}, {s, 5 * s}}},
		{"no jitter", down, []client.Option{client.WithBackoff(s, 0)}, []bounds{{s, 0}, {s, 0}, {s, 0}}},
		{"nothing", down, []client.Option{client.WithBackoff(-1, -1)}, []bounds{{0, 0}, {0, 0}}},
		{"from nothing", down, []client.Option{client.WithBackoff(0, 3*time.Millisecond)}, []bounds{{0, time.Millisecond}, {0, 2 * time.Millisecond}, {0, 3 * time.Millisecond}}},
		{"beyond all bounds", down, []client.Option{client.WithBackoff(1<<63-1, 0)}, []bounds{{time.Hour, 0}}},
		{"the stream's retry", firstly("retry: 500\ndata: x\n\n"), nil, []bounds{{s / 2, s / 2}, {s / 2, s}, {s / 2, 2 * s}, {s / 2, 4 * s}}},
		{"a retry of nothing", firstly("retry: 0\ndata: x\n\n"), nil, []bounds{{0, time.Millisecond}, {0, 2 * time.Millisecond}, {0, 4 * time.Millisecond}}},
		{"a retry beyond the longest", firstly("retry: 60000\ndata: x\n\n"), nil, []bounds{{60 * s, 30 * s}, {60 * s, 30 * s}}},
		{"a retry that overflows", firstly("retry: 99999999999999999999\n"), nil, []bounds{{time.Hour, 30 * s}, {time.Hour, 30 * s}}},
		{"Retry-After", busy("Retry-After", "20"), nil, []bounds{{20 * s, 3 * s}, {20 * s, 6 * s}}},
		{"a short Retry-After", busy("Retry-After", "1"), nil, []bounds{{3 * s, 3 * s}, {3 * s, 6 * s}}},
		{"a long Retry-After", busy("Retry-After", "99999999999999999999"), nil, []bounds{{time.Hour, 3 * s}}},
		{"a Retry-After that is nothing", busy("Retry-After", "-5"), nil, []bounds{{3 * s, 3 * s}}},
		{"a Retry-After that is a date", busy("Retry-After", "Sat, 01 Jan 2000 00:01:00 GMT"), nil, []bounds{{time.Minute, 3 * s}}},
		{"a Retry-After that is long ago", busy("Retry-After", "Fri, 31 Dec 1999 00:00:00 GMT"), nil, []bounds{{3 * s, 3 * s}}},
		{"a Retry-After that is far away", busy("Retry-After", "Fri, 31 Dec 2100 00:00:00 GMT"), nil, []bounds{{time.Hour, 3 * s}}},
		{
			"a Retry-After by another clock", busy("Date", "Mon, 01 Jan 2024 00:00:00 GMT", "Retry-After", "Mon, 01 Jan 2024 00:00:30 GMT"), nil,
			[]bounds{{30 * s, 3 * s}},
		},
		{"a Retry-After counts once", func(n int) *http.Response {
			if n == 0 {
				return busy("Retry-After", "100")(n)
			}
			return nil
		}, nil, []bounds{{100 * s, 3 * s}, {3 * s, 6 * s}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const runs = 100
			lowest, highest := make([]time.Duration, len(tt.want)), make([]time.Duration, len(tt.want))
			for range runs {
				synctest.Test(t, func(t *testing.T) { // its clock begins in 2000
					for i, wait := range waits(t, len(tt.want), tt.answer, tt.opts...) {
						if least, most := tt.want[i].least, tt.want[i].least+tt.want[i].extra; wait < least || wait > most {
							t.Fatalf("got wait %d of %v, want %v to %v", i, wait, least, most)
						}
						if lowest[i] == 0 {
							lowest[i] = wait
						}
						lowest[i], highest[i] = min(lowest[i], wait), max(highest[i], wait)
					}
				})
			}
			// A hundred random waits fill more than half of their range.
			for i, want := range tt.want {
				if got := highest[i] - lowest[i]; got < want.extra/2 {
					t.Errorf("got waits %d within %v, want them spread over %v", i, got, want.extra)
				}
			}
		})
	}
}

// A stream of heartbeats alone is healthy if it lasts.
func TestBackoffAfterLongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lasting := func(d time.Duration) func(int) *http.Response {
			return func(int) *http.Response {
				return response(200, live(t.Context(), func(w io.Writer) {
					_, _ = io.WriteString(w, ":\n\n")
					pass(d)
				}))
			}
		}
		for i, wait := range waits(t, 5, lasting(30*time.Second)) {
			if wait < 3*time.Second || wait > 6*time.Second {
				t.Errorf("got wait %d of %v, want 3 to 6 s", i, wait)
			}
		}
		longest := time.Duration(0)
		for range 20 {
			longest = max(longest, waits(t, 5, lasting(29*time.Second))[4])
		}
		if longest < 10*time.Second {
			t.Errorf("after short silent connections: got waits up to %v, want them to grow", longest)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	const s = time.Second
	beat := func(w io.Writer, every time.Duration, texts ...string) {
		for _, text := range texts {
			pass(every)
			_, _ = io.WriteString(w, text)
		}
	}
	tests := []struct {
		name   string
		limit  time.Duration
		body   func(w io.Writer)
		events int
		err    error
		after  time.Duration
	}{
		{"nothing comes", 45 * s, func(io.Writer) { pass(time.Hour) }, 0, client.ErrIdle, 45 * s},
		{"heartbeats", 45 * s, func(w io.Writer) { beat(w, 44*s, ":\n\n", ":\n\n", ":\n\n", frames(1, 1)) }, 1, client.ErrEnded, 176 * s},
		{"heartbeats, then nothing", 45 * s, func(w io.Writer) { beat(w, 44*s, ":\n\n", ":\n\n"); pass(time.Hour) }, 0, client.ErrIdle, 133 * s},
		{"a slow drip", 2 * s, func(w io.Writer) { beat(w, s, strings.Split(frames(1, 2), "")...) }, 2, client.ErrEnded, time.Duration(len(frames(1, 2))) * s},
		{"an event, then nothing", 45 * s, func(w io.Writer) { beat(w, 0, frames(1, 1)); pass(time.Hour) }, 1, client.ErrIdle, 45 * s},
		{"no limit", 0, func(w io.Writer) { beat(w, 99*time.Hour, frames(1, 1)) }, 1, client.ErrEnded, 99 * time.Hour},
		{"less than none", -1, func(w io.Writer) { beat(w, 99*time.Hour, frames(1, 1)) }, 1, client.ErrEnded, 99 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				got, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(t.Context()),
					client.WithIdleTimeout(tt.limit), once(),
					inMemory(func(r *http.Request) (*http.Response, error) { return response(200, live(r.Context(), tt.body)), nil })))
				wantErr(t, err, tt.err)
				ssetest.Equal(t, got, numbered(1, tt.events))
				if got := time.Since(start); got != tt.after {
					t.Errorf("got the end after %v, want %v", got, tt.after)
				}
				if errors.Is(err, client.ErrIdle) && err.Error() != "client: the server has sent nothing for 45s" {
					t.Errorf("got error %v, want one that says how long", err)
				}
				pass(2 * time.Hour) // for the writer
			})
		})
	}
}

// A silent connection is replaced by another, and a slow loop does not look like a
// silent server.
func TestIdleTimeoutReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		stream := client.Stream(get(t, "http://example.com").WithContext(t.Context()), client.WithIdleTimeout(45*time.Second),
			inMemory(func(r *http.Request) (*http.Response, error) {
				calls++
				if calls == 3 {
					return response(204, http.NoBody), nil
				}
				return response(200, live(r.Context(), func(w io.Writer) {
					_, _ = io.WriteString(w, frames(2*calls-1, 2*calls))
					<-r.Context().Done()
				})), nil
			}))
		n := 0
		for e, err := range stream {
			if err != nil {
				wantErr(t, err, client.ErrStopped)
				break
			}
			n++
			pass(time.Hour)
			if want := (n + 1) / 2; calls != want {
				t.Errorf("event %s: got %d connections, want %d", e.ID, calls, want)
			}
		}
		if n != 4 {
			t.Errorf("got %d events, want 4", n)
		}
	})
}

// An event that comes at the moment when the connection is given up is not lost.
func TestIdleTimeoutLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		got, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(t.Context()), client.WithIdleTimeout(45*time.Second),
			inMemory(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.Header.Get("Last-Event-ID"))
				n := len(asked)
				if n == 4 {
					return response(204, http.NoBody), nil
				}
				return response(200, readerFunc(func(p []byte) (int, error) {
					if r.Context().Err() != nil {
						return 0, r.Context().Err()
					}
					<-r.Context().Done()
					return copy(p, frames(n, n)), nil
				})), nil
			})))
		wantErr(t, err, client.ErrStopped)
		ssetest.Equal(t, got, numbered(1, 3))
		if want := []string{"", "1", "2", "3"}; !slices.Equal(asked, want) {
			t.Errorf("got requests for what comes after %q, want %q", asked, want)
		}
	})
}

// A response whose only lines are heartbeats with an unknown field is a stream if it
// lasts. Otherwise it fails with client.ErrMediaType.
func TestUnknownHeartbeats(t *testing.T) {
	for lasts, want := range map[time.Duration]error{29 * time.Second: client.ErrMediaType, 30 * time.Second: client.ErrEnded} {
		synctest.Test(t, func(t *testing.T) {
			_, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(t.Context()), once(),
				inMemory(func(r *http.Request) (*http.Response, error) {
					return response(200, live(r.Context(), func(w io.Writer) {
						_, _ = io.WriteString(w, "ping\n\n")
						pass(lasts)
						_, _ = io.WriteString(w, "ping\n\n")
					})), nil
				})))
			wantErr(t, err, want)
		})
	}
}

// A server that fails after 40 s may say so in JSON. With WithOnce that is not a proper end.
func TestOnceFailsLate(t *testing.T) {
	const fault = `{"error": "no model has answered"}`
	synctest.Test(t, func(t *testing.T) {
		var last error
		for e, err := range client.Stream(get(t, "http://example.com").WithContext(t.Context()), client.WithOnce(""),
			inMemory(func(r *http.Request) (*http.Response, error) {
				return response(200, live(r.Context(), func(w io.Writer) {
					_, _ = io.WriteString(w, ": wait\n\n")
					pass(40 * time.Second)
					_, _ = io.WriteString(w, fault)
				})), nil
			})) {
			if last = err; err == nil {
				t.Errorf("got the event %+v, want none", e)
			}
		}
		wantErr(t, last, client.ErrMediaType)
	})
}

// The body of a refusal is read as long as bytes come, up to a bound.
func TestRefusalSlow(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name  string
		parts int
		every time.Duration
		want  int
		took  time.Duration
	}{
		{"in time", 5, s / 2, 5, 5 * s / 2},
		{"with a pause", 5, 2 * s, 1, s},
		{"without an end", 100, 600 * time.Millisecond, 17, 10 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(t.Context()), inMemory(func(r *http.Request) (*http.Response, error) {
					return response(404, live(r.Context(), func(w io.Writer) {
						for range tt.parts {
							_, _ = io.WriteString(w, "x")
							pass(tt.every)
						}
					})), nil
				})))
				took := time.Since(start)
				var refused *client.ResponseError
				if !asError(err, &refused) || string(refused.Body) != strings.Repeat("x", tt.want) || took != tt.took {
					t.Errorf("got %v after %v, want a body of %d bytes after %v", err, took, tt.want, tt.took)
				}
				pass(time.Hour) // for the server
			})
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The headers have a limit, too: the idle timeout or the client's Timeout, which does not
// cut the stream.
func TestHeaderTimeout(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name                    string
		idle, timeout, expected time.Duration
	}{
		{"idle timeout", 45 * s, 0, 45 * s},
		{"client's timeout", 0, 10 * s, 10 * s},
		{"both", 45 * s, 10 * s, 10 * s},
		{"both, the other way about", 45 * s, 60 * s, 45 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				hc := &http.Client{Timeout: tt.timeout, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				})}
				_, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(t.Context()),
					client.WithIdleTimeout(tt.idle), client.WithHTTPClient(hc), once()))
				wantErr(t, err, client.ErrIdle)
				if got := time.Since(start); got != tt.expected {
					t.Errorf("got the end after %v, want %v", got, tt.expected)
				}

				hc.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					return response(200, live(r.Context(), func(w io.Writer) {
						for i := range 10 {
							pass(40 * s)
							_, _ = io.WriteString(w, frames(i+1, i+1))
						}
					})), nil
				})
				got, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(t.Context()),
					client.WithIdleTimeout(tt.idle), client.WithHTTPClient(hc), once()))
				wantErr(t, err, client.ErrEnded)
				ssetest.Equal(t, got, numbered(1, 10))
				if hc.Timeout != tt.timeout {
					t.Errorf("the caller's client now has a timeout of %v, want %v", hc.Timeout, tt.timeout)
				}
			})
		})
	}
}
