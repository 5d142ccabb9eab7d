package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"image"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// patience bounds each wait.
const patience = time.Minute

// A running is the demo while it runs.
type running struct {
	urls   map[string]string // by framework
	stop   context.CancelFunc
	exited <-chan int
	stdout <-chan string // receives the output after the start, when the demo has exited
	stderr *output
}

// An output is written by the demo and read by the test.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs the demo on free ports.
func start(t *testing.T, tick string, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	pipe, w := io.Pipe()
	exited := make(chan int, 1)
	r := &running{urls: map[string]string{}, stop: stop, exited: exited, stderr: new(output)}
	go func() {
		code := run(ctx, append([]string{"-addr", "127.0.0.1:0", "-tick", tick}, args...), w, r.stderr)
		_ = w.Close()
		exited <- code
	}()
	lines := bufio.NewScanner(pipe)
	served := regexp.MustCompile(`^ +(\S.*?) +(http://\S+)$`)
	for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C") {
		if m := served.FindStringSubmatch(lines.Text()); m != nil {
			r.urls[m[1]] = m[2]
		}
	}
	rest := make(chan string, 1)
	r.stdout = rest
	go func() {
		var said strings.Builder
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		rest <- said.String()
	}()
	t.Cleanup(func() {
		stop()
		if code, ok := r.wait(); !ok || code != 0 {
			t.Errorf("got exit code %d (%t), want 0; stderr: %q", code, ok, r.stderr)
		}
	})
	if len(r.urls) == 0 {
		t.Fatalf("the demo did not start: %s", r.stderr)
	}
	return r
}

// wait returns the exit code. It may be called more than once.
func (r *running) wait() (code int, ok bool) {
	select {
	case code = <-r.exited:
		again := make(chan int, 1)
		again <- code
		r.exited = again
		return code, true
	case <-time.After(patience):
		return 0, false
	}
}

// A request is a request that a test sends.
type request struct {
	method, path, body, lastID string
	header                     http.Header
}

func do(t *testing.T, base string, r request) *http.Response {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for name := range r.header {
		req.Header.Set(name, r.header.Get(name))
	}
	if r.lastID != "" {
		req.Header.Set("Last-Event-ID", r.lastID)
	}
	// Each request has a new client, so that tests do not share connections.
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// events reads up to n events of a stream, and the error that it ended with.
func events(t *testing.T, base string, r request, n int) ([]core.Event, error) {
	t.Helper()
	res := do(t, base, r)
	if got, want := res.StatusCode, http.StatusOK; got != want {
		t.Fatalf("%s: got status %d, want %d", r.path, got, want)
	}
	if got, want := res.Header.Get("Content-Type"), "text/event-stream; charset=utf-8"; got != want {
		t.Fatalf("%s: got content type %q, want %q", r.path, got, want)
	}
	var got []core.Event
	for e, err := range core.Read(res.Body) {
		if err != nil {
			return withoutRetry(t, got), err
		}
		if got = append(got, e); len(got) == n {
			break
		}
	}
	_ = res.Body.Close()
	return withoutRetry(t, got), nil
}

// withoutRetry removes the reconnection time from the events of a response. It must be
// in the first event.
func withoutRetry(t *testing.T, got []core.Event) []core.Event {
	t.Helper()
	if len(got) == 0 {
		return nil
	}
	if got[0].Retry == 0 {
		t.Errorf("got first event %+v, want one with a reconnection time", got[0])
	}
	got[0].Retry = 0
	return got
}

// all reads a whole stream that must end cleanly.
func all(t *testing.T, base string, r request) []core.Event {
	t.Helper()
	got, err := events(t, base, r, -1)
	if err != nil {
		t.Fatalf("%s: got error %v, want a clean end", r.path, err)
	}
	return got
}

func status(t *testing.T, base string, r request, want int) (contentType, body string) {
	t.Helper()
	res := do(t, base, r)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Errorf("%s %s: got status %d, want %d", r.method, r.path, res.StatusCode, want)
	}
	return res.Header.Get("Content-Type"), string(b)
}

// onAll runs a test on each framework, each time with a new demo.
func onAll(t *testing.T, tick string, test func(t *testing.T, name, base string)) {
	t.Helper()
	for _, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			test(t, f.name, start(t, tick, "-framework", f.name).urls[f.name])
		})
	}
}

func TestStream(t *testing.T) {
	onAll(t, "2ms", func(t *testing.T, _, base string) {
		for _, test := range []struct{ name, lastID, want string }{
			{"from the start", "", "1 2 3"},
			{"after an ID", "41", "42 43 44"},
			{"after the largest number", "9223372036854775807", "9223372036854775808 9223372036854775809 9223372036854775810"},
			{"after an ID that is not a number", "abc", "1 2 3"},
			{"after what is less than none", "-7", "1 2 3"},
		} {
			got, err := events(t, base, request{path: "/stream?user_id=%E7%94%A8%E6%88%B7+%26+%3CAda%3E", lastID: test.lastID}, 3)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, e := range got {
				ids = append(ids, e.ID)
				var message []string
				err := json.Unmarshal([]byte(e.Data), &message)
				if err != nil || len(message) != 2 || !strings.HasPrefix(message[0], "当前时间: ") {
					t.Errorf("%s: got data %s, want the time and the user", test.name, e.Data)
				}
				if got, want := e.Type, "add"; got != want {
					t.Errorf("%s: got type %q, want %q", test.name, got, want)
				}
				if !strings.Contains(e.Data, `"用户 & <Ada>"]`) || !strings.Contains(e.Data, "当前时间") {
					t.Errorf("%s: got data %s, want the text as it is", test.name, e.Data)
				}
			}
			if got := strings.Join(ids, " "); got != test.want {
				t.Errorf("%s: got IDs %s, want %s", test.name, got, test.want)
			}
		}
	})
}

func TestTime(t *testing.T) {
	onAll(t, "2ms", func(t *testing.T, _, base string) {
		got, err := events(t, base, request{path: "/time"}, 2)
		if err != nil || len(got) != 2 {
			t.Fatalf("got %d events and %v, want 2 events", len(got), err)
		}
		for _, e := range got {
			if e.ID != "" || e.Type != "" || !strings.HasPrefix(e.Data, "The server time is: ") {
				t.Errorf("got %+v, want only the server's time", e)
			}
		}
	})
}

func TestNotice(t *testing.T) {
	onAll(t, "2ms", func(t *testing.T, name, base string) {
		contentType, body := status(t, base, request{path: "/notice?token=nope"}, http.StatusForbidden)
		wantError(t, name, contentType, body, errToken.text)

		if got := all(t, base, request{path: "/notice?token=123"}); len(got) != 2 || got[0].Type != "notice" || got[0].Data == "" {
			t.Errorf("got %+v, want two notices", got)
		}
		if _, body := status(t, base, request{path: "/notice?token=123"}, http.StatusNoContent); body != "" {
			t.Errorf("got body %q with 204, want none", body)
		}

		post := request{method: http.MethodPost, path: "/notice?token=123", body: `{"text": "新消息"}`}
		status(t, base, post, http.StatusNoContent)
		if got := all(t, base, request{path: "/notice?token=123"}); len(got) != 1 || got[0] != (core.Event{Type: "notice", Data: "新消息"}) {
			t.Errorf("got %+v, want the new notice", got)
		}

		for _, bad := range []struct {
			path, body string
			want       int
		}{
			{"/notice?token=nope", `{"text": "x"}`, http.StatusForbidden},
			{"/notice?token=123", `{"text": `, http.StatusBadRequest},
			{"/notice?token=123", `{}`, http.StatusBadRequest},
		} {
			status(t, base, request{method: http.MethodPost, path: bad.path, body: bad.body}, bad.want)
		}
		for range maxNotices {
			status(t, base, post, http.StatusNoContent)
		}
		status(t, base, post, http.StatusConflict)
	})
}

// wantError wants an error as the framework answers it.
func wantError(t *testing.T, framework, contentType, body, text string) {
	t.Helper()
	var got, want string
	switch framework {
	case "gin":
		got, want = field(body, "error"), text
	case "echo v4", "echo v5":
		got, want = field(body, "message"), text
	case "net/http":
		got, want = body, text+"\n"
	default:
		got, want = body, text
	}
	if got != want {
		t.Errorf("got body %q, want %q in it", body, want)
	}
	if strings.Contains(contentType, "event-stream") {
		t.Errorf("got content type %q with an error", contentType)
	}
}

func field(body, name string) string {
	var fields map[string]string
	_ = json.Unmarshal([]byte(body), &fields)
	return fields[name]
}

func TestEvents(t *testing.T) {
	onAll(t, "2ms", func(t *testing.T, _, base string) {
		whole := all(t, base, request{path: "/events"})
		if got, want := len(whole), len(sentences)+1; got != want {
			t.Fatalf("got %d events, want %d", got, want)
		}
		for i, e := range whole {
			want := core.Event{ID: strconv.Itoa(i + 1), Type: "done", Data: "That was all."}
			if i < len(sentences) {
				want.Type, want.Data = "", sentences[i]
			}
			if e != want {
				t.Errorf("got %+v, want %+v", e, want)
			}
		}
		for i, e := range whole[:len(whole)-1] {
			rest := all(t, base, request{path: "/events", lastID: e.ID})
			if len(rest) != len(whole)-1-i || rest[0] != whole[i+1] {
				t.Errorf("after %s: got %+v, want %+v", e.ID, rest, whole[i+1:])
			}
		}
		status(t, base, request{path: "/events", lastID: whole[len(whole)-1].ID}, http.StatusNoContent)
		status(t, base, request{path: "/events", lastID: "1000"}, http.StatusNoContent)
	})
}

func TestPicture(t *testing.T) {
	onAll(t, "5ms", func(t *testing.T, _, base string) {
		whole := all(t, base, request{path: "/picture"})
		if got, want := len(whole), columns*rows+1; got != want {
			t.Fatalf("got %d events, want %d", got, want)
		}
		for i, e := range whole[:columns*rows] {
			if want := (core.Event{ID: strconv.Itoa(i + 1), Type: "tile"}.Base64(tiles()[i])); e != want {
				t.Fatalf("got %.60v, want %.60v", e, want)
			}
			png, err := base64.StdEncoding.DecodeString(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			tile, format, err := image.Decode(bytes.NewReader(png))
			if err != nil || format != "png" || tile.Bounds() != image.Rect(0, 0, tileSize, tileSize) {
				t.Fatalf("tile %d: got %v of %s and %v, want a PNG of %d pixels each way", i, tile.Bounds(), format, err, tileSize)
			}
		}
		rest := all(t, base, request{path: "/picture", lastID: "38"})
		if !slices.Equal(rest, whole[38:]) {
			t.Errorf("after 38: got %d events, want the last three", len(rest))
		}
		status(t, base, request{path: "/picture", lastID: "41"}, http.StatusNoContent)
	})
}

func TestPause(t *testing.T) {
	onAll(t, "5ms", func(t *testing.T, _, base string) {
		before := time.Now()
		got := all(t, base, request{path: "/pause"})
		last := got[len(got)-1]
		back, err := strconv.ParseInt(last.Data, 10, 64)
		if err != nil || last.Type != "pause" || len(got) < 2 {
			t.Fatalf("got %+v, want some events and then a pause", got)
		}
		// Four ticks with events, then a pause of five.
		if from, to := before.Add(45*time.Millisecond), time.Now().Add(25*time.Millisecond); back < from.UnixMilli() || back > to.UnixMilli() {
			t.Errorf("got reconnection at %d, want %d to %d", back, from.UnixMilli(), to.UnixMilli())
		}
	})
}

func TestTokens(t *testing.T) {
	onAll(t, "1ms", func(t *testing.T, name, base string) {
		const prompt = "  Wie geht's, 世界?\r\n\tTwo lines: \"a: b\"  "
		body, err := json.Marshal(tokensBody{Prompt: prompt})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		tokens := all(t, base, request{method: http.MethodPost, path: "/tokens", body: string(body)})
		spaces, breaks := 0, 0
		for _, e := range tokens {
			text.WriteString(e.Data)
			if e.ID != "" || e.Type != "" {
				t.Errorf("got %+v, want only data", e)
			}
			if strings.HasPrefix(e.Data, " ") && strings.TrimSpace(e.Data) != "" {
				spaces++
			}
			if strings.Contains(e.Data, "\n") {
				breaks++
			}
		}
		if got, want := text.String(), answer(prompt); got != want {
			t.Errorf("got answer %q, want %q", got, want)
		}
		if !strings.Contains(text.String(), ">   Wie geht's, 世界?\n> \tTwo lines: \"a: b\"  \n") {
			t.Errorf("got answer %q, want the prompt in it", text.String())
		}
		if len(tokens) < 100 || spaces < 30 || breaks < 10 {
			t.Errorf("got %d tokens, %d with a leading space and %d with a line break, want more, as from a model", len(tokens), spaces, breaks)
		}

		for _, bad := range []string{``, `{"prompt": `, `{"prompt": 7}`, `[]`, `{}`, `{"prompt": ""}`, `{"prompt": "x"} junk`} {
			contentType, body := status(t, base, request{method: http.MethodPost, path: "/tokens", body: bad}, http.StatusBadRequest)
			wantError(t, name, contentType, body, errPrompt.text)
		}
	})
}

func TestProgress(t *testing.T) {
	onAll(t, "10ms", func(t *testing.T, name, base string) {
		contentType, body := status(t, base, request{path: "/progress?job=x"}, http.StatusNotFound)
		wantError(t, name, contentType, body, errJob.text)

		// A client that leaves does not stop the job, and a second one catches up.
		first, err := events(t, base, request{path: "/progress?job=backup"}, 31)
		if err != nil {
			t.Fatal(err)
		}
		rest := all(t, base, request{path: "/progress?job=backup", lastID: first[30].ID})
		for i, e := range append(first, rest...) {
			if text := strconv.Itoa(i); e != (core.Event{ID: text, Type: "progress", Data: text}) {
				t.Fatalf("event %d: got %+v, want progress %s", i, e, text)
			}
		}
		if got, want := len(first)+len(rest), 101; got != want {
			t.Errorf("got %d events in all, want %d", got, want)
		}
		status(t, base, request{path: "/progress?job=backup", lastID: "100"}, http.StatusNoContent)

		// A job that this process does not know is as far as the client says.
		if got := all(t, base, request{path: "/progress?job=report", lastID: "97"}); len(got) != 3 || got[0].ID != "98" {
			t.Errorf("after 97: got %+v, want 98 to 100", got)
		}
	})
}

// A client that comes back does not wait again for the progress that it missed.
func TestProgressResumesAtOnce(t *testing.T) {
	d := newDemo(time.Hour, new(core.Group), log.New(io.Discard, "", 0))
	begin, ok := d.jobs.begin("backup", 30*time.Hour, 100*time.Hour)
	if got, want := time.Since(begin).Round(time.Hour), 30*time.Hour; !ok || got != want {
		t.Errorf("got a job that began %v ago, want %v", got, want)
	}
	if again, _ := d.jobs.begin("backup", 0, 100*time.Hour); !again.Equal(begin) {
		t.Errorf("got a job that began at %v, want %v as for the first client", again, begin)
	}
	if fresh, _ := d.jobs.begin("backup", 0, 20*time.Hour); time.Since(fresh) > time.Hour {
		t.Errorf("got a job that began %v ago, want a new one after the old one has ended", time.Since(fresh))
	}
}

// A notice that could not be sent stays unread.
func TestNoticeStaysUnread(t *testing.T) {
	d := newDemo(time.Hour, new(core.Group), log.New(io.Discard, "", 0))
	before := d.notices.len()
	stream, err := d.notice(goodToken)
	if err != nil {
		t.Fatal(err)
	}
	stream(func(core.Event, error) bool { return false })
	if got, want := d.notices.len(), before; got != want {
		t.Errorf("got %d unread notices, want %d", got, want)
	}
}

func TestFail(t *testing.T) {
	for _, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, "2ms", "-framework", f.name)
			got, err := events(t, r.urls[f.name], request{path: "/fail"}, -1)
			if len(got) != 3 {
				t.Errorf("got %d events, want 3", len(got))
			}
			if err == nil {
				t.Error("got a clean end, want a broken response")
			}
			r.stop()
			if _, ok := r.wait(); !ok {
				t.Fatal("the demo did not stop")
			}
			if got, want := r.stderr.String(), "the database has gone away"; strings.Count(got, want) != 1 {
				t.Errorf("got log %q, want %q once in it", got, want)
			}
		})
	}
}

func TestDrop(t *testing.T) {
	onAll(t, "2ms", func(t *testing.T, _, base string) {
		res := do(t, base, request{path: "/stream?user_id=a&session=s1"})
		n := 0
		for e, err := range core.Read(res.Body) {
			if err != nil {
				t.Fatalf("after %d events: got error %v, want an end", n, err)
			}
			if n++; e.ID == "2" {
				status(t, base, request{method: http.MethodPost, path: "/drop?session=s1"}, http.StatusNoContent)
			}
			if n > 10_000 {
				t.Fatal("the stream continued after it was dropped")
			}
		}
		status(t, base, request{method: http.MethodPost, path: "/drop?session=s1"}, http.StatusNoContent)
	})
}

func TestPage(t *testing.T) {
	onAll(t, "20ms", func(t *testing.T, name, base string) {
		for _, file := range []struct{ path, contentType, want string }{
			{"/", "text/html", "<!doctype html>"},
			{"/style.css", "text/css", ":root"},
			{"/app.js", "javascript", "setUpCards"},
			{"/reader.js", "javascript", "async function*"},
			{"/card.js", "javascript", "EventSource"},
			{"/chat.js", "javascript", "class ChatCard"},
			{"/market.js", "javascript", "class TickerCard"},
			{"/news.js", "javascript", "class NewsCard"},
			{"/picture.js", "javascript", "class PictureCard"},
		} {
			contentType, body := status(t, base, request{path: file.path}, http.StatusOK)
			if !strings.Contains(contentType, file.contentType) || !strings.Contains(body, file.want) {
				t.Errorf("%s: got %q of %d bytes, want %q with %q in it", file.path, contentType, len(body), file.contentType, file.want)
			}
		}
		status(t, base, request{path: "/nothing.html"}, http.StatusNotFound)

		_, body := status(t, base, request{path: "/info"}, http.StatusOK)
		var got pageInfo
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if got.Serving != name || got.Tick != 20 || len(got.Sites) != 1 || got.Sites[0].Name != name || strconv.Itoa(got.Sites[0].Port) != port {
			t.Errorf("got %+v, want %s on port %s and a tick of 20 ms", got, name, port)
		}
		for view, file := range map[string]string{
			"stream": "views.go", "time": "views.go", "notice": "views.go", "events": "views.go", "pause": "views.go",
			"tokens": "views.go", "progress": "views.go", "fail": "views.go",
			"chat": "chat.go", "ticker": "market.go", "news": "news.go", "picture": "picture.go",
		} {
			if !strings.Contains(got.Sources[file], "\nfunc (d *demo) "+view+"(") {
				t.Errorf("the source %s has no %s", file, view)
			}
		}
	})
}

// A page from one port reads the streams of another.
func TestOrigins(t *testing.T) {
	onAll(t, "2ms", func(t *testing.T, _, base string) {
		origin := http.Header{"Origin": {"http://127.0.0.1:1"}}
		for _, r := range []request{
			{path: "/stream?user_id=a", header: origin},
			{path: "/notice?token=nope", header: origin},
			{path: "/info", header: origin},
		} {
			if got, want := do(t, base, r).Header.Get("Access-Control-Allow-Origin"), "*"; got != want {
				t.Errorf("%s: got origin %q allowed, want %q", r.path, got, want)
			}
		}
		res := do(t, base, request{method: http.MethodOptions, path: "/tokens", header: http.Header{
			"Origin":                         {"http://127.0.0.1:1"},
			"Access-Control-Request-Method":  {http.MethodPost},
			"Access-Control-Request-Headers": {"content-type,last-event-id"},
		}})
		allowed := strings.ToLower(res.Header.Get("Access-Control-Allow-Headers"))
		if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(allowed, "content-type") || !strings.Contains(allowed, "last-event-id") {
			t.Errorf("got status %d and headers %v, want a preflight that allows the request", res.StatusCode, res.Header)
		}
	})
}

// response reads the head of a response, and returns its body.
func response(t *testing.T, conn net.Conn) (*http.Response, io.Reader) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res, res.Body
}
