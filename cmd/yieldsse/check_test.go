package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// examine runs check with the real clock, and returns its report.
func examine(t *testing.T, args ...string) (r check.Report, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stdout, errs bytes.Buffer
	status = run(ctx, append([]string{"check", "-json"}, args...), nil, &stdout, &errs)
	if stdout.Len() > 0 {
		dec := json.NewDecoder(&stdout)
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("the report: %v", err)
		}
	}
	return r, errs.String(), status
}

// watch is like examine, and watches for a second. If the report is not as it should be,
// because the machine is busy, it watches again, for longer.
func watch(t *testing.T, asItShould func(check.Report) bool, args ...string) (r check.Report, stderr string, status int) {
	t.Helper()
	for _, long := range []string{"1s", "1s", "1s", "1s", "1s", "1s", "5s", "20s"} {
		r, stderr, status = examine(t, append([]string{"-watch", long}, args...)...)
		if asItShould(r) {
			break
		}
	}
	return r, stderr, status
}

// wrong returns the warnings and faults of a report.
func wrong(r check.Report) (all []string) {
	for _, f := range r.Findings {
		if f.Severity >= check.Warning {
			all = append(all, f.Subject+": "+f.Seen)
		}
	}
	return all
}

// counted counts on from the last event ID, ten events a second.
func counted(r *http.Request) core.Stream {
	return func(yield func(core.Event, error) bool) {
		id, _ := strconv.Atoi(core.LastEventID(r.Context()))
		for range core.Every(r.Context(), 100*time.Millisecond) {
			id++
			if !yield(core.Event{ID: strconv.Itoa(id), Data: "counted"}, nil) {
				return
			}
		}
	}
}

func TestCheckGood(t *testing.T) {
	t.Parallel()
	url := serve(t, counted)
	for _, args := range [][]string{nil, {"-X", "POST", "-d", `{"a": 1}`}} {
		r, stderr, status := watch(t, func(r check.Report) bool { return r.Events >= 5 && len(wrong(r)) == 0 }, append(args, url)...)
		equal(t, "stderr", stderr, "")
		equal(t, "wrong", strings.Join(wrong(r), "\n"), "")
		equal(t, "status", status, statusOK)
		equal(t, "stream", r.Stream, true)
		equal(t, "events", r.Events >= 5, true)
	}
}

func TestCheckHTTP2(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, header, want string }{
		{"good", "X-Good", ""},
		{"Keep-Alive", "Keep-Alive", "connection header: Keep-Alive: timeout=5 on HTTP/2.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			good := nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream { return counted(r) })
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(test.header, "timeout=5")
				good.ServeHTTP(w, r)
			}))
			srv.EnableHTTP2 = true
			srv.Config.ErrorLog = discard
			srv.StartTLS()
			defer srv.Close()
			st := ssetest.Request{URL: srv.URL, Client: srv.Client()}.Open(t)
			st.Close()
			if st.Header.Get(test.header) == "" {
				t.Skip("since Go 1.27, net/http neither sends this header on HTTP/2 nor shows it")
			}
			r, _, _ := watch(t, func(r check.Report) bool { return strings.Join(wrong(r), "\n") == test.want }, "-k", srv.URL)
			equal(t, "wrong", strings.Join(wrong(r), "\n"), test.want)
			for _, f := range r.Findings {
				if f.Subject == "http version" {
					equal(t, "version", f.Severity.String()+" "+f.Seen, "ok HTTP/2.0")
				}
			}
		})
	}
}

// answering sends these bytes to each connection, and then waits for the client's end
// or closes the connection.
func answering(t *testing.T, answer string, stay bool) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(c, answer)
				if stay {
					_, _ = io.Copy(io.Discard, in)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return "http://" + l.Addr().String() + "/"
}

// Each of these servers has a fault, which the report names.
func TestCheckBrokenServers(t *testing.T) {
	t.Parallel()
	const (
		line  = "HTTP/1.1 200 OK\r\n"
		typ   = "Content-Type: text/event-stream\r\n"
		cache = "Cache-Control: no-cache\r\n"
		head  = line + typ + cache + "\r\n"
	)
	for _, test := range []struct {
		name   string
		answer string
		stay   bool
		want   string // part of the findings
	}{
		{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false, "status: 404 Not Found"},
		{"HTML", line + "Content-Type: text/html\r\n\r\n<html>", false, "media type: text/html"},
		{"endless JSON", line + "Content-Type: application/json\r\n\r\n{", true, "media type: application/json"},
		{"charset", line + "Content-Type: text/event-stream; charset=latin1\r\n\r\ndata: a\n\n", false, "charset: charset=latin1"},
		{"no Cache-Control", line + typ + "\r\ndata: a\n\n", false, "caching: no Cache-Control"},
		{"X-Accel-Buffering", line + typ + cache + "X-Accel-Buffering: yes\r\n\r\ndata: a\n\n", false, "buffering header: X-Accel-Buffering: yes"},
		{"Content-Length", line + typ + cache + "Content-Length: 9\r\n\r\ndata: a\n\n", false, "length: Content-Length: 9"},
		{"gzip", line + typ + cache + "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08", true, "compression: Content-Encoding: gzip"},
		{"silence", head, true, "first byte: nothing within 1"},
		{"Latin-1", head + "data: \xe9\n\n", true, "encoding: bytes that are not UTF-8"},
		{"CR in data", head + "data: a\rb\n\n", true, "line ends: 1 lines end with CR alone, 2 with LF"},
		{"an unknown field", head + "message: a\n\n", true, `fields: nothing but 1 line with an unknown field: "message"`},
		{"a lost space", head + "data: a\n\ndata:b\n\n", true, "space: 1 data lines have a space after the colon, 1 have none"},
		{"no data", head + "event: ping\n\n", true, "blocks: 1 block with an event type and no data line"},
		{"an ID alone", head + "id: 1\n\n", true, "blocks: 1 block with an ID and no data line"},
		{"no blank line", head + "data: a\n", false, "blocks: there is no blank line after the last event"},
		{"retry", head + "retry: soon\ndata: a\n\n", true, `retry: retry is "soon"`},
		{"an ID twice", head + "id: 1\ndata: a\n\nid: 1\ndata: b\n\n", true, `ids: 1 event with the ID of another event, such as "1"`},
		{"always starts over", head + "id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n", true, `resumption: after ID "2" it starts over, with "1"`},
		{"always the same", head + "data: a\n\n", false, "a new connection gets the same again"},
		{"broken", line + typ + cache + "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n9\r\nda", false, "end: it broke off"},
		{"an endless line", head + "data: " + strings.Repeat("a", 1<<20), true, "event size: 1048582 bytes of an event arrived, and it has not ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			named := func(r check.Report) bool { return strings.Contains(strings.Join(wrong(r), "\n"), test.want) }
			r, stderr, status := watch(t, named, answering(t, test.answer, test.stay))
			equal(t, "status", status, 1)
			if got := strings.Join(wrong(r), "\n"); !strings.Contains(got, test.want) {
				t.Errorf("got\n%s\nwant in it\n%s", got, test.want)
			}
			// If it was not a stream, stderr has a sentence about it, too.
			if lines := strings.Count(stderr, "\n"); lines > 1 || (lines == 1) == r.Stream {
				t.Errorf("got %q on stderr, and a stream: %t", stderr, r.Stream)
			}
		})
	}
}

func TestCheckCORS(t *testing.T) {
	t.Parallel()
	const seen = "cors: no Access-Control-Allow-Origin for https://page.example"
	named := func(r check.Report) bool { return strings.Join(wrong(r), "\n") == seen }
	r, _, status := watch(t, named, "-origin", "https://page.example", serve(t, counted))
	equal(t, "status", status, 1)
	equal(t, "wrong", strings.Join(wrong(r), "\n"), seen)
}

func TestCheckBadInput(t *testing.T) {
	refused, addr := nobody(t)
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no URL", nil, "needs exactly one URL"},
		{"no scheme", []string{"localhost:8080/x"}, `the URL "localhost:8080/x" has no scheme`},
		{"refused", []string{refused}, "cannot connect to " + addr + ": connection refused"},
		{"no answer", []string{answering(t, "", false)}, "closed the connection without an answer"},
		{"no HTTP", []string{answering(t, "220 mail\r\n", true)}, "the server's answer is not an HTTP response: "},
		{"an origin", []string{"-origin", "page.example", "http://a/"}, `--origin is "page.example"`},
		{"an origin with a path", []string{"-origin", "http://page.example/", "http://a/"}, `--origin is "http://page.example/"`},
		{"no time", []string{"-watch", "0s", "http://a/"}, "--watch is 0s"},
		{"a colour", []string{"-color", "red", "http://a/"}, `--color is "red"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := try(t, append([]string{"check"}, test.args...)...)
			equal(t, "stdout", stdout, "")
			equal(t, "status", status, 2)
			if !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got %q, want one line with %q", stderr, test.want)
			}
		})
	}
}

// A redirect loop is an answer, so there is a report.
func TestCheckRedirects(t *testing.T) {
	url := ssetest.Serve(t, http.RedirectHandler("/again", http.StatusFound))
	r, stderr, status := examine(t, url)
	const seen = "redirect: stopped after 10 redirects, at 302 Found, Location: /again"
	equal(t, "wrong", strings.Join(wrong(r), "\n"), seen)
	equal(t, "stderr", stderr, "yieldsse: "+url+" is not an event stream: "+seen+"\n")
	equal(t, "status", status, statusFindings)
}

func TestCheckInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(r *http.Request) core.Stream {
		cancel()
		return counted(r)
	})
	status := run(ctx, []string{"check", url}, nil, io.Discard, io.Discard)
	equal(t, "status", status, statusInterrupted)
}

func TestCheckTable(t *testing.T) {
	r := &check.Report{
		Method: "GET", Stream: true, Requests: 3, WatchedMS: 1500, Events: 1,
		Summary: check.Summary{OK: 1, Info: 1, Fault: 1},
		Findings: []check.Finding{
			{Subject: "status", Seen: "200 OK"},
			{
				Subject: "buffering header", Severity: check.Info, Seen: "none \x1b[31m",
				Why: strings.Repeat("word ", 30), Fix: "set X-Accel-Buffering: no",
			},
			{Subject: "ids", Severity: check.Fault, Seen: strings.Repeat("x", 200), Why: "why", Fix: "fix"},
		},
	}
	for _, width := range []int{30, 59, 60, 80, 120} {
		for _, coloured := range []bool{false, true} {
			got := findingsText(r, true, width, newMarks(coloured))
			equal(t, "table", strings.ContainsAny(got, "\u2502\u2500"), width >= tableWidth)
			equal(t, "colours", strings.Contains(got, "\x1b["), coloured)
			plain := strings.NewReplacer("\x1b[31;1m", "", "\x1b[2m", "", "\x1b[32m", "", "\x1b[36m", "", "\x1b[22m", "", "\x1b[0m", "",
				"\x1b[0;22m", "").Replace(got)
			for line := range strings.Lines(plain) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("width %d: got a line of %d columns: %q", width, n, line)
				}
			}
			if !coloured && strings.Contains(got, "\x1b") {
				t.Errorf("got a control character of the server's in %q", got)
			}
		}
	}
	got := findingsText(r, false, 80, newMarks(false))
	equal(t, "ok rows", strings.Contains(got, "200 OK"), false)
	want := "\n1 of 3 checks passed: 1 fault, 0 warnings, 1 note; 1 event in 1.5 s\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
}

// If there is no room for a table, there is a list.
func TestCheckList(t *testing.T) {
	r := &check.Report{Summary: check.Summary{Info: 1, Fault: 1}, Findings: []check.Finding{
		{Subject: "caching", Severity: check.Info, Seen: "none \x1b[31m", Why: "a cache may keep the stream, and replay it to others", Fix: "set it"},
		{Subject: "ids", Severity: check.Fault, Seen: "two", Why: "why", Fix: "fix"},
	}}
	got := findingsText(r, false, 40, newMarks(false))
	equal(t, "text", got, `info caching
  none \x1b[31m
  why:  a cache may keep the stream, and
        replay it to others
  fix:  set it

fault ids
  two
  why:  why
  fix:  fix

0 of 2 checks passed: 1 fault, 0
warnings, 1 note; 0 events in 0.0 s
`)
}

// Without findings there is one line and no empty table.
func TestCheckClean(t *testing.T) {
	r := &check.Report{Summary: check.Summary{OK: 1}, Findings: []check.Finding{{Subject: "status", Seen: "200"}}}
	got := findingsText(r, false, 80, newMarks(false))
	equal(t, "text", got, "1 of 1 checks passed: 0 faults, 0 warnings, 0 notes; 0 events in 0.0 s\n")
}

func TestCheckText(t *testing.T) {
	stdout, stderr, status := try(t, "check", answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", false))
	equal(t, "status", status, 1)
	for _, want := range []string{"fault", "media type", "text/html", "why:  an EventSource", "fix:  this is a page"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got\n%s\nwant %q in it", stdout, want)
		}
	}
	if !strings.Contains(stderr, "is not an event stream: media type: text/html") {
		t.Errorf("got %q on stderr", stderr)
	}
}

// A file that is not a terminal has the default width.
func TestOutputWidth(t *testing.T) {
	equal(t, "a file", outputWidth(file(t)), defaultWidth)
	equal(t, "a device", outputWidth(null(t)), defaultWidth)
	equal(t, "a pipe", outputWidth(&bytes.Buffer{}), defaultWidth)
	for columns, want := range map[int]int{0: defaultWidth, 40: 40, 80: 80, 300: mostWidth} {
		equal(t, fmt.Sprintf("a terminal of %d columns", columns), outputWidth(terminal(t, columns)), want)
	}
}

// The progress is shown on a terminal, and nowhere else.
func TestCheckProgress(t *testing.T) {
	var c checker
	var events atomic.Int64
	events.Store(31)
	for _, test := range []struct {
		now, watch time.Duration
		want       string
	}{
		{12 * time.Second, 20 * time.Second, "watching 12 s of 20 s, 31 events"},
		{21 * time.Second, 20 * time.Second, "connecting again"},
	} {
		c.watch = test.watch
		equal(t, "line", c.progressLine(test.now, &events), test.want)
	}
	var stderr bytes.Buffer
	c.app = &app{stderr: &stderr}
	c.progress(&events)()
	equal(t, "in a pipe", stderr.String(), "")
}
