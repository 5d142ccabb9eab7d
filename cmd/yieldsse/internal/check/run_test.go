package check_test

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
)

// after repeats an event at regular times, with a number in place of %d.
func after(every time.Duration, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		good(w)
		send(w, ":\n\n")
		for i := 1; pause(r, every); i++ {
			send(w, strings.ReplaceAll(text, "%d", fmt.Sprint(i)))
		}
	}
}

// with changes the headers of a good stream.
func with(name, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		good(w)
		w.Header().Set(name, value)
		if value == "" {
			w.Header().Del(name)
		}
		send(w, "data: a\n\n")
		<-r.Context().Done()
	}
}

func TestGoodStreams(t *testing.T) {
	beats := func(every time.Duration) http.HandlerFunc { return after(every, ": beat\n\n") }
	for _, test := range []struct {
		name string
		h    http.HandlerFunc
		job  job
		most time.Duration // the longest time
	}{
		{"an event each second", numbered(time.Second), job{}, 17 * time.Second},
		{"fast", numbered(time.Millisecond), job{}, 22 * time.Second},
		{"now and then", numbered(7 * time.Second), job{}, 30 * time.Second},
		{"heartbeats alone", beats(15 * time.Second), job{}, 30 * time.Second},
		{"a short watch", numbered(100 * time.Millisecond), job{watch: time.Second}, 5 * time.Second},
		{"a POST that ends", func(w http.ResponseWriter, r *http.Request) {
			good(w)
			for range 3 {
				send(w, "data: token\n\n")
				pause(r, time.Second)
			}
		}, job{method: http.MethodPost, body: "{}"}, 5 * time.Second},
		{"an end, and then 204", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Last-Event-ID") == "2" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			good(w)
			if r.Header.Get("Last-Event-ID") == "" {
				send(w, "id: 1\ndata: a\n\n")
			}
			send(w, "id: 2\ndata: b\n\n")
		}, job{}, 5 * time.Second},
		{"latest values", func(w http.ResponseWriter, r *http.Request) {
			good(w)
			id := time.Now().UnixMilli() / 100
			send(w, fmt.Sprintf("id: %d\ndata: a\n\n", id))
			for pause(r, 100*time.Millisecond) {
				id++
				send(w, fmt.Sprintf("id: %d\ndata: a\n\n", id))
			}
		}, job{}, 15 * time.Second},
		{"CORS", with("Access-Control-Allow-Origin", "*"), job{origin: "http://page.example", watch: time.Second}, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, took := run(t, test.h, test.job)
			if !r.Stream || !r.Summary.Clean() {
				t.Errorf("got findings, want none:\n%s", list(r))
			}
			if took > test.most {
				t.Errorf("got %v for the check, want at most %v", took, test.most)
			}
		})
	}
}

func TestResponses(t *testing.T) {
	for _, test := range []struct {
		name     string
		h        http.HandlerFunc
		subject  string
		severity check.Severity
		seen     string
	}{
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "reachable", check.Fault, "no answer came within 20s"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "status", check.Warning, "204"},
		{"401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "status", check.Fault, "401"},
		{"405", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) }, "status", check.Fault, "405"},
		{"503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "status", check.Fault, "503"},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status", check.Fault, "500 Internal"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/events" {
				http.Redirect(w, r, "/new", http.StatusSeeOther)
				return
			}
			numbered(time.Second)(w, r)
		}, "redirect", check.Info, "led to http://stream.example/new"},
		{"a circle of redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/events", http.StatusFound)
		}, "redirect", check.Fault, "stopped after 10 redirects, at 302 Found, Location: /events"},
		{"HTML", with("Content-Type", "text/html"), "media type", check.Fault, "text/html"},
		{"no media type", raw("HTTP/1.1 200 OK\r\n\r\n"), "media type", check.Fault, "no Content-Type"},
		{"parameters", with("Content-Type", "text/event-stream;"), "media type", check.OK, "text/event-stream;"},
		{
			"two media types", raw("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n"),
			"media type", check.Warning, "text/html, text/event-stream",
		},
		{
			"two media types, of which the last is another", raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Type: text/html\r\n\r\n"),
			"media type", check.Fault, "text/event-stream, text/html",
		},
		{"charset", with("Content-Type", "text/event-stream; charset=iso-8859-1"), "charset", check.Warning, "iso-8859-1"},
		{"UTF-8", with("Content-Type", "text/event-stream; charset=UTF-8"), "charset", check.OK, "UTF-8"},
		{"no Cache-Control", with("Cache-Control", ""), "caching", check.Warning, "no Cache-Control"},
		{"max-age", with("Cache-Control", "max-age=60"), "caching", check.Warning, "max-age=60"},
		{"public", with("Cache-Control", "public"), "caching", check.Warning, "public"},
		{"private", with("Cache-Control", "private, max-age=0"), "caching", check.OK, "private"},
		{"no-transform", with("Cache-Control", "no-transform"), "caching", check.Warning, "no-transform"},
		{"no X-Accel-Buffering", with("X-Accel-Buffering", ""), "buffering header", check.Info, "no X-Accel-Buffering"},
		{"X-Accel-Buffering", with("X-Accel-Buffering", "yes"), "buffering header", check.Warning, "yes"},
		{"Content-Length", with("Content-Length", "1000"), "length", check.Fault, "1000"},
		{"HTTP/1.0", raw("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n"), "length", check.Info, "the end of the connection"},
		{"a version", numbered(time.Second), "http version", check.Info, "HTTP/1.1"},
		{"gzip for all", with("Content-Encoding", "gzip"), "compression", check.Fault, "Content-Encoding: gzip"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, took := run(t, test.h, job{})
			expect(t, r, test.subject, test.severity, test.seen)
			if took > 30*time.Second {
				t.Errorf("got %v for the check, want at most 30 s", took)
			}
		})
	}
}

// zipped is the stream of h, compressed if the client accepts it, and flushed or not.
func zipped(h http.HandlerFunc, flushed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			h(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }()
		h(&zipWriter{w, z, flushed}, r)
	}
}

type zipWriter struct {
	http.ResponseWriter
	z       *gzip.Writer
	flushed bool
}

func (w *zipWriter) Write(p []byte) (int, error) { return w.z.Write(p) }

func (w *zipWriter) Flush() {
	if w.flushed {
		_ = w.z.Flush()
	}
	flush(w.ResponseWriter)
}

func TestCompression(t *testing.T) {
	for _, test := range []struct {
		name     string
		h        http.HandlerFunc
		severity check.Severity
		seen     string
	}{
		{"none", numbered(time.Second), check.OK, "none"},
		{"flushed", zipped(numbered(time.Second), true), check.OK, "gzip, and the first event comes after 1s"},
		{"held back", zipped(numbered(time.Second), false), check.Fault, "gzip, and no event within"},
		{"a comment held back", zipped(after(15*time.Second, ":\n\n"), false), check.Fault, "gzip, and no byte within"},
		{"too few events", zipped(after(15*time.Second, ":\n\n"), true), check.Info, "gzip; too few events"},
		{"garbage", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				w.Header().Set("Content-Encoding", "gzip")
			}
			numbered(time.Second)(w, r)
		}, check.Fault, "the body cannot be read"},
		{"brotli", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				w.Header().Set("Content-Encoding", "br")
			}
			numbered(time.Second)(w, r)
		}, check.Fault, "Content-Encoding: br"},
		{"headers held back", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				<-r.Context().Done()
			}
			numbered(time.Second)(w, r)
		}, check.Fault, "no headers within 1.5s if gzip is accepted; without it they came after"},
		{"a failure", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				http.Error(w, "cannot compress", http.StatusInternalServerError)
				return
			}
			numbered(time.Second)(w, r)
		}, check.Fault, "the answer is 500 Internal Server Error if gzip is accepted"},
		{"a panic", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				panic(http.ErrAbortHandler)
			}
			numbered(time.Second)(w, r)
		}, check.Fault, "no answer if gzip is accepted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := run(t, test.h, job{})
			expect(t, r, "compression", test.severity, test.seen)
		})
	}
}

// buffering is a stream with events at regular times behind a proxy that forwards them
// only when it has that many bytes.
func buffering(every time.Duration, size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		good(w)
		send(w, ":\n\n")
		var buffer string
		for i := 0; pause(r, every); i++ {
			buffer += fmt.Sprintf("data: event %03d\n\n", i)
			if len(buffer) >= size {
				send(w, buffer[:size])
				buffer = buffer[size:]
			}
		}
	}
}

func TestTimes(t *testing.T) {
	ends := func(n int, wait time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			good(w)
			flush(w)
			pause(r, wait)
			send(w, strings.Repeat("data: a\n\n", n))
		}
	}
	for _, test := range []struct {
		name     string
		h        http.HandlerFunc
		watch    time.Duration
		subject  string
		severity check.Severity
		seen     string
	}{
		{"headers wait", func(w http.ResponseWriter, r *http.Request) {
			good(w)
			pause(r, 2*time.Second)
			send(w, "data: a\n\n")
			<-r.Context().Done()
		}, 0, "headers", check.Warning, "after 2s, together with the first bytes"},
		{"slow headers", func(w http.ResponseWriter, r *http.Request) {
			pause(r, 2*time.Second)
			good(w)
			flush(w)
			pause(r, time.Second)
			send(w, "data: a\n\n")
			<-r.Context().Done()
		}, 0, "headers", check.Info, "after 2s"},
		{"prompt headers", numbered(time.Second), 0, "headers", check.OK, "after 0s"},
		{"no byte", body(""), 0, "first byte", check.Warning, "nothing within 20s"},
		{"a late byte", ends(1, 3*time.Second), 0, "first byte", check.Info, "after 3s"},
		{"all at once", ends(5, 3*time.Second), 0, "delivery", check.Warning, "all 5 events arrived at once, after 3s"},
		{"a buffer of an odd size", buffering(100*time.Millisecond, 100), 0, "delivery", check.Warning, "in the middle of an event"},
		{"a buffer of whole events", buffering(100*time.Millisecond, 170), 0, "delivery", check.Warning, "about 10 at a time, every 1s"},
		{"one by one", numbered(100 * time.Millisecond), 0, "delivery", check.OK, "as they are made"},
		{"history, and then one by one", func(w http.ResponseWriter, r *http.Request) {
			good(w)
			send(w, strings.Repeat("data: old\n\n", 50))
			after(time.Second, "data: %d\n\n")(w, r)
		}, 0, "delivery", check.OK, "as they are made"},
		{"silence", body("data: a\n\n"), 0, "heartbeat", check.Warning, "the longest silence was 20s"},
		{"a long silence", body("data: a\n\n"), 70 * time.Second, "heartbeat", check.Fault, "1m10s"},
		{"rare heartbeats", after(61*time.Second, ":\n\n"), 150 * time.Second, "heartbeat", check.Fault, "1m1s"},
		{"heartbeats", after(15*time.Second, ":\n\n"), 40 * time.Second, "heartbeat", check.OK, "3 comments"},
		{"too short to see any", body("data: a\n\n"), 5 * time.Second, "heartbeat", check.Info, "none within 5s"},
		{"a busy stream", numbered(100 * time.Millisecond), 0, "heartbeat", check.OK, "100ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, took := run(t, test.h, job{watch: test.watch})
			expect(t, r, test.subject, test.severity, test.seen)
			if most := max(test.watch, 20*time.Second) + 10*time.Second; took > most {
				t.Errorf("got %v for the check, want at most %v", took, most)
			}
		})
	}
}

func TestBytes(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, test := range []struct {
		name     string
		text     string
		subject  string
		severity check.Severity
		seen     string
	}{
		{"Latin-1", "data: \xe9\n\n", "encoding", check.Fault, "not UTF-8"},
		{"a BOM", "\uFEFFdata: a\n\n", "encoding", check.Info, "byte order mark"},
		{"a CR in data", "data: a\rb\n\n", "line ends", check.Warning, "1 lines end with CR alone, 2 with LF"},
		{"CR alone", "data: a\r\r", "line ends", check.Info, "CR alone"},
		{"CRLF", "data: a\r\n\r\n", "line ends", check.OK, "CRLF"},
		{"CRLF and LF", "data: a\r\n\r\ndata: b\n\n", "line ends", check.Info, "2 lines end with LF, 2 with CRLF"},
		{"capitals", ":\nData: a\n\n", "fields", check.Warning, `1 line with an unknown field: "Data"`},
		{"text", ":\nhello\n\n", "fields", check.Warning, `"hello (a line without a colon)"`},
		{"capitals alone", "Data: a\n\n", "fields", check.Fault, `nothing but 1 line with an unknown field: "Data"`},
		{"JSON", `{"error": "no such model"}` + "\n", "fields", check.Fault, `nothing but 1 line`},
		{"a NUL", "id: a\x00\ndata: a\n\n", "fields", check.Warning, "1 id with a NUL"},
		{"no space now and then", "data:a\n\ndata: b\n\n", "space", check.Warning, "1 data lines have a space"},
		{"never a space", "data:a\n\n", "space", check.Info, "no space"},
		{"a type alone", "event: ping\n\n", "blocks", check.Warning, "1 block with an event type"},
		{"an ID alone", "id: 1\n\n", "blocks", check.Warning, "1 block with an ID"},
		{"a bad retry", "retry: 3s\n\n", "retry", check.Warning, `"3s"`},
		{"a retry", "retry: 100\n\nretry: 3600000\n\n", "retry", check.OK, "100ms"},
		{"a retry of zero", "retry: 3000\n\nretry: 0\n\n", "retry", check.Warning, "retry: 0"},
		{"a retry in seconds", "retry: 3\n\n", "retry", check.Warning, "retry: 3"},
		{"a retry of days", "retry: 172800000\n\n", "retry", check.Warning, "48h0m0s"},
		{"a retry without an end", "retry: " + strings.Repeat("9", 300) + "\n\n", "retry", check.Warning, "1000h0m0s or more"},
		{"long IDs that differ late", "id: " + long + "1\ndata: a\n\nid: " + long + "2\ndata: b\n\n", "ids", check.OK, "all 2"},
		{"long IDs that are the same", "id: " + long + "1\ndata: a\n\nid: " + long + "1\ndata: b\n\n", "ids", check.Warning, "1 event with the ID of another event"},
		{"an ID that is too long for a header", "id: 1\ndata: a\n\nid: " + long + long + "\ndata: b\n\n", "ids", check.Fault, "an ID of 10000 bytes"},
		{"no ID", "data: a\n\n", "ids", check.Info, "no event has an ID"},
		{"an ID twice", "id: 1\ndata: a\n\nid: 1\ndata: b\n\n", "ids", check.Warning, `such as "1"`},
		{"an ID now and then", "id: 1\ndata: a\n\ndata: b\n\n", "ids", check.Info, "1 of 2 events"},
		{"IDs", "id: 1\ndata: a\n\nid: 2\ndata: b\n\n", "ids", check.OK, "all 2"},
		{"an ID without an event that is too long for a header", "data: a\n\nid: " + long + long + "\n\n", "blocks", check.Warning, "1 block with an ID"},
		{"an endless line", "data: " + strings.Repeat("a", 17<<20), "event size", check.Fault, "does not end"},
		{"an event without an end", "data: " + strings.Repeat("a", 1<<20), "event size", check.Warning, "1048582 bytes of an event arrived"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := run(t, body(test.text), job{watch: time.Second})
			expect(t, r, test.subject, test.severity, test.seen)
		})
	}
}

// A whole response that was not an event stream.
func TestNotStream(t *testing.T) {
	for text, severity := range map[string]check.Severity{
		`{"error": "no such model"}`:          check.Fault,
		`{"error": "no such model"}` + "\n":   check.Fault,
		"\n<!DOCTYPE html>\n\n<p>Sorry</p>\n": check.Fault,
		"data: {\"error\": 1}":                check.OK,
		"dat":                                 check.OK,
	} {
		r, _ := run(t, raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"+text), job{watch: time.Second})
		seen := "all known"
		if severity == check.Fault {
			seen = "nothing but"
		}
		expect(t, r, "fields", severity, seen)
	}
}

// A client reconnects with the stream's last ID, which may have come without an event.
func TestComesBackWithPosition(t *testing.T) {
	for text, want := range map[string]string{
		"id: 1\ndata: a\n\n":                "1",
		"id: 1\ndata: a\n\nid: 7\n\n":       "7",
		"id: 1\ndata: a\n\nid\ndata: b\n\n": "",
	} {
		var last string // of the requests
		_, _ = run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				last = r.Header.Get("Last-Event-ID")
			}
			good(w)
			send(w, text)
		}), job{watch: time.Second})
		if last != want {
			t.Errorf("%q: got Last-Event-ID %q, want %q", text, last, want)
		}
	}
}

func TestResumption(t *testing.T) {
	// from returns a stream of ten events a second. next returns the number after which
	// it begins, from the last event ID and the newest event.
	type next func(lastID string, newest int) int
	from := func(f next) http.HandlerFunc {
		var newest atomic.Int64
		return func(w http.ResponseWriter, r *http.Request) {
			good(w)
			send(w, ":\n\n")
			id := 0
			if last := r.Header.Get("Last-Event-ID"); last != "" {
				id = f(last, int(newest.Load()))
			}
			for pause(r, 100*time.Millisecond) {
				id++
				newest.Store(max(newest.Load(), int64(id)))
				send(w, fmt.Sprintf("id: %d\ndata: %d\n\n", id, id))
			}
		}
	}
	number := func(s string) (n int) { _, _ = fmt.Sscan(s, &n); return n }
	for _, test := range []struct {
		name     string
		h        http.HandlerFunc
		severity check.Severity
		seen     string
	}{
		{"right", from(func(last string, _ int) int { return number(last) }), check.OK, "it resumes with"},
		{"starts over", from(func(string, int) int { return 0 }), check.Warning, "it starts over"},
		{"nothing missed", func(w http.ResponseWriter, r *http.Request) {
			good(w)
			if r.Header.Get("Last-Event-ID") == "" {
				send(w, "id: 1\ndata: a\n\n")
			}
		}, check.Info, "which may be too early"},
		{"a hole", from(func(_ string, newest int) int { return newest + 5 }), check.Warning, "on the first connection"},
		{"a repeat", from(func(last string, _ int) int { return number(last) - 1 }), check.Warning, "repeats an event"},
		{"long ago", from(func(last string, _ int) int { return number(last) - 4 }), check.Warning, "repeats an event"},
		{"the newest only", from(func(_ string, newest int) int { return newest - 1 }), check.Info, "it skipped some"},
		{"a seam with a repeat", func(w http.ResponseWriter, r *http.Request) {
			if last := number(r.Header.Get("Last-Event-ID")); last > 0 {
				good(w)
				send(w, fmt.Sprintf("id: %d\ndata: a\n\nid: %[1]d\ndata: a\n\n", last+1))
				<-r.Context().Done()
				return
			}
			numbered(100*time.Millisecond)(w, r)
		}, check.Warning, "twice"},
		{"nothing", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Last-Event-ID") == "" {
				numbered(100*time.Millisecond)(w, r)
				return
			}
			body(":\n\n")(w, r)
		}, check.Warning, "nothing came within"},
		{"too early", numbered(15 * time.Second), check.Info, "too early"},
		{"refused", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Last-Event-ID") != "" {
				http.Error(w, "what?", http.StatusBadRequest)
				return
			}
			numbered(100*time.Millisecond)(w, r)
		}, check.Fault, "400 Bad Request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, took := run(t, test.h, job{})
			expect(t, r, "resumption", test.severity, test.seen)
			if took > 30*time.Second {
				t.Errorf("got %v for the check, want at most 30 s", took)
			}
		})
	}
}

func TestEnd(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	then := func(first, second http.HandlerFunc) http.HandlerFunc {
		var n atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				first(w, r)
			} else {
				second(w, r)
			}
		}
	}
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			good(w)
			send(w, text)
		}
	}
	code := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, test := range []struct {
		name     string
		h        http.HandlerFunc
		severity check.Severity
		seen     string
	}{
		{"the same again", text("data: a\n\ndata: b\n\n"), check.Warning, "gets the same again"},
		{"the same again, with a last event", text("data: a\n\nevent: done\ndata:\n\n"), check.Info, "gets the same again, but"},
		{"the same again, with [DONE]", text("data: a\n\ndata: [DONE]\n\n"), check.Info, "gets the same again, but"},
		{"then 204", then(text("data: a\n\n"), code(204)), check.OK, "204"},
		{"then 500", then(text("data: a\n\n"), code(500)), check.Warning, "a new connection gets 500"},
		{"then nothing", then(text("data: a\n\n"), text("")), check.Warning, "ends without an event"},
		{"then another", then(text("data: a\n\n"), text("data: b\n\n")), check.OK, "continues"},
		{"then silence", then(text("data: a\n\n"), body(":\n\n")), check.OK, "stays open"},
		{"then no answer", then(text("data: a\n\n"), raw("")), check.Warning, "no answer"},
		{"broken", raw(head + "9\r\ndata: a\n\n\r\n20\r\nda"), check.Fault, "it broke off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := run(t, test.h, job{})
			expect(t, r, "end", test.severity, test.seen)
		})
	}
	t.Run("no blank line", func(t *testing.T) {
		r, _ := run(t, text("data: a\n"), job{})
		expect(t, r, "blocks", check.Warning, "no blank line")
	})
}

func TestCORS(t *testing.T) {
	const page = "http://page.example"
	allow := func(headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Add(headers[i], headers[i+1])
			}
			if r.Method != http.MethodOptions {
				body("id: 1\ndata: a\n\n")(w, r)
			}
		}
	}
	const origin, credentials = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
	custom := http.Header{"X-Token": {"a"}}
	cookie := http.Header{"Cookie": {"a=b"}}
	for _, test := range []struct {
		name     string
		h        http.HandlerFunc
		job      job
		subject  string
		severity check.Severity
		seen     string
	}{
		{"none", allow(), job{}, "cors", check.Fault, "no Access-Control-Allow-Origin"},
		{"the same origin", allow(), job{origin: "http://stream.example"}, "cors", check.OK, "own origin"},
		{"all", allow(origin, "*"), job{}, "cors", check.OK, "*"},
		{"all, and credentials", allow(origin, "*", credentials, "true"), job{}, "cors", check.Warning, "with Access-Control-Allow-Credentials"},
		{"this", allow(origin, page, "Vary", "Origin"), job{}, "cors", check.OK, page},
		{"this without Vary", allow(origin, page), job{}, "cors", check.Info, "without Vary"},
		{"another", allow(origin, "http://other.example"), job{}, "cors", check.Fault, "http://other.example"},
		{"twice", allow(origin, page, origin, page), job{}, "cors", check.Fault, "more than once"},
		{"cookies", allow(origin, page), job{header: cookie}, "cors", check.Fault, "cookies are not allowed"},
		{"cookies allowed", allow(origin, page, credentials, "true", "Vary", "Origin"), job{header: cookie}, "cors", check.OK, page},
		{"no preflight", allow(origin, "*"), job{}, "preflight", -1, ""},
		{"a header", allow(origin, "*"), job{header: custom}, "preflight", check.Fault, "does not list x-token"},
		{"a header, and the same origin", allow(), job{origin: "http://stream.example", header: custom}, "preflight", -1, ""},
		{"a header allowed", allow(origin, "*", "Access-Control-Allow-Headers", "Last-Event-ID, X-Token"), job{header: custom}, "preflight", check.OK, "allowed"},
		{"any header allowed", allow(origin, "*", "Access-Control-Allow-Headers", "*"), job{header: custom}, "preflight", check.OK, "allowed"},
		{"a method", allow(origin, "*"), job{method: "PUT"}, "preflight", check.Fault, "does not list PUT"},
		{"an ID", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodOptions {
				w.WriteHeader(405)
				return
			}
			w.Header().Set(origin, "*")
			body("id: a:b\ndata: a\n\n")(w, r)
		}, job{}, "preflight", check.Fault, "OPTIONS for GET, last-event-id: 405"},
		{"a preflight that is redirected", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodOptions && r.URL.Path != "/elsewhere" {
				http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
				return
			}
			allow(origin, "*", "Access-Control-Allow-Headers", "*")(w, r)
		}, job{header: custom}, "preflight", check.Fault, "308"},
		{"a preflight of another origin", func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodOptions {
				allow(origin, "*")(w, r)
			}
		}, job{header: custom}, "preflight", check.Fault, `Access-Control-Allow-Origin is ""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.job.origin == "" {
				test.job.origin = page
			}
			test.job.watch = time.Second
			r, _ := run(t, test.h, test.job)
			expect(t, r, test.subject, test.severity, test.seen)
		})
	}
}
