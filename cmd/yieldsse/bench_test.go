package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// measure runs bench with the real clock, and returns its report.
func measure(t *testing.T, args ...string) (r report, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stdout, errs bytes.Buffer
	status = run(ctx, append([]string{"bench", "-json"}, args...), nil, &stdout, &errs)
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatalf("%v in %s", err, stdout.String())
		}
	}
	return r, errs.String(), status
}

// ticks sends an event each millisecond, with its time in data.
func ticks(data func(time.Time) string) func(*http.Request) core.Stream {
	return func(r *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for range core.Every(r.Context(), time.Millisecond) {
				if !yield(core.Event{Data: data(time.Now())}, nil) {
					return
				}
			}
		}
	}
}

func stamped(now time.Time) string { return fmt.Sprintf(`{"ts": %d}`, now.UnixMicro()) }

func TestBench(t *testing.T) {
	r, stderr, status := measure(t, "-conns", "20", "-for", "300ms", serve(t, ticks(stamped)))
	equal(t, "stderr", stderr, "")
	equal(t, "status", status, statusOK)
	equal(t, "streams", r.Streams, 20)
	equal(t, "open", r.Open, 20)
	equal(t, "connections", r.Connections, 20)
	equal(t, "connect times", r.Connect.Count, 20)
	equal(t, "HTTP", r.HTTP, "HTTP/1.1")
	equal(t, "other machine", r.OtherMachine, false)
	equal(t, "errors", len(r.Errors), 0)
	if r.MeasuredMS < 300 || r.MeasuredMS > 60_000 {
		t.Errorf("got %v ms measured, want about 300", r.MeasuredMS)
	}
	if r.Events < 20 || r.Events > 20*int64(r.MeasuredMS+100) {
		t.Errorf("got %d events in %v ms, want at most one each millisecond on 20 streams", r.Events, r.MeasuredMS)
	}
	if got, want := r.EventsPerSec*r.MeasuredMS/1000, float64(r.Events); got < want*0.99 || got > want*1.01 {
		t.Errorf("got %v events a second, which is %v in the time, want %v", r.EventsPerSec, got, want)
	}
	perEvent := float64(len("data: ") + len(stamped(time.Now())) + 2)
	if got, want := float64(r.Bytes), float64(r.Events)*perEvent; got < want*0.8 || got > want*1.2 {
		t.Errorf("got %v bytes, want about %v for %d events", got, want, r.Events)
	}
	l := r.Latency
	if l == nil || l.Count == 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.Max || l.Max > 60_000 {
		t.Errorf("got latency %+v", l)
	}
}

func TestBenchTimeField(t *testing.T) {
	at := func(d time.Duration) func(*http.Request) core.Stream {
		return ticks(func(now time.Time) string {
			return fmt.Sprintf(`{"ts": 1, "sent": %q}`, now.Add(d).Format(time.RFC3339Nano))
		})
	}
	t.Run("late", func(t *testing.T) {
		r, _, _ := measure(t, "-for", "300ms", "-time-field", "sent", serve(t, at(-time.Minute)))
		if r.Latency == nil || r.Latency.P50 < 60_000 || r.Latency.P50 > 120_000 {
			t.Errorf("got latency %+v, want a minute and a bit", r.Latency)
		}
	})
	t.Run("from the future", func(t *testing.T) {
		r, _, _ := measure(t, "-for", "300ms", "-time-field", "sent", serve(t, at(time.Minute)))
		if r.Latency != nil || r.Early == 0 {
			t.Errorf("got latency %+v and %d early events, want early ones only", r.Latency, r.Early)
		}
	})
	t.Run("not named", func(t *testing.T) {
		r, _, _ := measure(t, "-for", "300ms", serve(t, at(0)))
		if r.Latency != nil || r.Early != 0 || r.Events == 0 {
			t.Errorf("got latency %+v and %d early of %d events, want no times", r.Latency, r.Early, r.Events)
		}
	})
}

func TestBenchHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return ticks(stamped)(r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	r, stderr, status := measure(t, "-k", "-conns", "30", "-for", "100ms", s.URL)
	equal(t, "stderr", stderr, "")
	equal(t, "status", status, statusOK)
	equal(t, "HTTP", r.HTTP, "HTTP/2.0")
	equal(t, "open", r.Open, 30)
	equal(t, "connections", r.Connections, 1)
}

func TestBenchReconnects(t *testing.T) {
	r, _, status := measure(t, "-conns", "4", "-for", "300ms",
		serve(t, events(core.Event{Data: "a"}), core.WithRetry(time.Millisecond)))
	equal(t, "status", status, statusOK)
	if r.Reconnects < 4 {
		t.Errorf("got %d reconnects, want several", r.Reconnects)
	}
	equal(t, "errors", fmt.Sprint(r.Errors), "[]") // a proper end is not an error
}

// gone serves one stream, and refuses all others.
func gone(t *testing.T, status int, end <-chan struct{}) string {
	t.Helper()
	first := make(chan struct{}, 1)
	first <- struct{}{}
	return ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-first:
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-end:
			}
		default:
			http.Error(w, fmt.Sprint("no, at ", time.Now().UnixNano()), status)
		}
	}))
}

func TestBenchErrors(t *testing.T) {
	t.Run("of some", func(t *testing.T) {
		url := gone(t, 403, nil)
		r, _, status := measure(t, "-conns", "6", "-for", "100ms", url)
		equal(t, "status", status, statusOK)
		equal(t, "open", r.Open, 1)
		equal(t, "given up", r.GivenUp, 5)
		equal(t, "errors", fmt.Sprint(r.Errors), fmt.Sprint([]errorCount{
			{"the response has a status other than 200: GET " + url + ": 403 Forbidden", 5},
		}))
	})
	t.Run("of all", func(t *testing.T) {
		end := make(chan struct{})
		close(end)
		start := time.Now()
		r, stderr, status := measure(t, "-conns", "2", "-for", "1h", "-reconnection-time", "1ms", gone(t, 403, end))
		equal(t, "stderr", stderr, "yieldsse: all streams ended before the end of the measurement: see the errors above\n")
		equal(t, "status", status, statusFailure)
		equal(t, "given up", r.GivenUp, 2)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("took %v", took)
		}
	})
	t.Run("of the first", func(t *testing.T) {
		url, addr := nobody(t)
		r, stderr, status := measure(t, "-conns", "6", url)
		equal(t, "stderr", stderr, "yieldsse: cannot connect to "+addr+": connection refused\n")
		equal(t, "status", status, statusFailure)
		equal(t, "report", r.URL, "")
	})
}

func TestBenchInterrupted(t *testing.T) {
	t.Run("while it measures", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		view := func(r *http.Request) core.Stream {
			return func(yield func(core.Event, error) bool) {
				for range core.Every(r.Context(), time.Millisecond) {
					if n++; n == 100 {
						cancel()
					}
					if !yield(core.Event{Data: "a"}, nil) {
						return
					}
				}
			}
		}
		var stdout, stderr bytes.Buffer
		status := run(ctx, []string{"bench", "-conns", "1", "-for", "1h", serve(t, view)}, nil, &stdout, &stderr)
		equal(t, "status", status, statusInterrupted)
		equal(t, "stderr", stderr.String(), "")
		if !strings.Contains(stdout.String(), "\nevents ") {
			t.Errorf("got no report: %q", stdout.String())
		}
	})
	t.Run("while it connects", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		url := ssetest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		}))
		var stdout, stderr bytes.Buffer
		status := run(ctx, []string{"bench", url}, nil, &stdout, &stderr)
		equal(t, "status", status, statusInterrupted)
		equal(t, "stderr", stderr.String(), "")
		equal(t, "stdout", stdout.String(), "")
	})
}
