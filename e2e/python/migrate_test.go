//go:build linux

package python_test

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

const (
	threads = 8 // of an original
	tick    = 20 * time.Millisecond

	patience = time.Minute            // to wait for what must happen
	moment   = 300 * time.Millisecond // to wait for what must not happen
	soon     = 3 * time.Second        // to wait for what must happen before a heartbeat, which comes after 15 s
)

// A client sees the same of the Python originals in examples/migrate and of their ports:
// status, media type, events, refusals, resumption. All differences are intended.
func TestMigrate(t *testing.T) {
	python := findPython(t)
	for _, app := range originals {
		t.Run(app, func(t *testing.T) {
			t.Parallel()
			original := startOriginal(t, python, app, threads, tick)
			want := make([]sight, len(visits))
			for i, v := range visits {
				want[i] = v.look(t, original)
			}
			for _, d := range differences {
				t.Run("original/"+d.name, func(t *testing.T) { d.original(t, original) })
			}
			program := buildPort(t, app)
			for _, framework := range ports {
				t.Run(framework, func(t *testing.T) {
					port := startPort(t, program, app, framework, tick)
					for i, v := range visits {
						t.Run(v.name, func(t *testing.T) {
							if got := v.look(t, port); !reflect.DeepEqual(got, want[i]) {
								t.Errorf("got %+v\nwant %+v, as %s gives", got, want[i], app)
							}
						})
					}
					for _, d := range differences {
						t.Run(d.name, func(t *testing.T) { d.port(t, port) })
					}
				})
			}
		})
	}
}

// A visit is a request that originals and ports answer in the same way.
type visit struct {
	name   string
	method string
	path   string
	last   string // last event ID
	notice string // posted before the request
	events int    // to read from a stream without an end; 0 reads to the end
}

var visits = []visit{
	{name: "ticker", path: "/stream?user_id=ada", events: 3},
	{name: "ticker without a user", path: "/stream", events: 1},
	{name: "ticker, with other characters", path: "/stream?user_id=%C3%89va+%22%3C%26", events: 1},
	{name: "ticker, resumed", path: "/stream?user_id=ada", last: "7", events: 2},
	{name: "time", path: "/time", events: 2},
	{name: "notice", path: "/notice?token=123&user_id=reader", notice: "hello, \u4e16\u754c: <b>", events: 1},
	{name: "notice without a token", path: "/notice"},
	{name: "notice with a wrong token", path: "/notice?token=wrong"},
	{name: "posting with a wrong token", path: "/notice?token=wrong", method: http.MethodPost},
	{name: "sentences", path: "/events"},
	{name: "sentences, resumed", path: "/events", last: "1"},
	{name: "sentences, all seen", path: "/events", last: "3"},
	{name: "more sentences", path: "/events?n=2000", last: "20"},
	{name: "a wrong method", path: "/stream", method: http.MethodPost},
}

// A sight is what a client sees, except for what depends on the time and on the way that
// JSON is written.
type sight struct {
	Status int
	Media  string // of a stream
	Events []core.Event
	Body   string // of a refusal, if the view wrote it
}

var timeOfDay = regexp.MustCompile(`(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d`)

func (v visit) look(t *testing.T, s *migrated) sight {
	t.Helper()
	if v.notice != "" {
		s.tell(t, v.notice)
	}
	header := http.Header{}
	if v.last != "" {
		header.Set("Last-Event-ID", v.last)
	}
	stream := ssetest.Request{URL: s.url + v.path, Method: v.method, Header: header}.Open(t)
	defer stream.Close()
	seen := sight{Status: stream.Status}
	switch {
	case stream.Status == http.StatusOK && v.events > 0:
		seen.Events = stream.Collect(v.events)
		stream.Close()
	case stream.Status == http.StatusOK:
		seen.Events = stream.All()
	case stream.Status == http.StatusForbidden && s.app != "django":
		// For PermissionDenied, Django shows its page and a port its framework's, so they
		// differ.
		seen.Body = plainJSON(stream.Body())
	}
	if stream.Status == http.StatusOK {
		seen.Media = mediaOf(t, stream.Header)
	}
	if v.notice != "" {
		s.tellUntilLeft(t, "reader")
	}
	for i, e := range seen.Events {
		seen.Events[i].Data = timeOfDay.ReplaceAllString(plainJSON(e.Data), "(time)")
	}
	return seen
}

func mediaOf(t *testing.T, h http.Header) string {
	t.Helper()
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t.Errorf("content type %q: %v", h.Get("Content-Type"), err)
	}
	return media
}

// plainJSON returns text as it is, or, if it is JSON, in a normal form.
func plainJSON(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	b, _ := json.Marshal(v) //nolint:errchkjson // it was JSON
	return string(b)
}

// differences are the cases in which a port does better than its original. Both sides are
// tested: if the original changes, docs/migrating.md has to change too.
var differences = []struct {
	name           string
	original, port func(*testing.T, *migrated)
}{
	{"headers", originalHeaders, portHeaders},
	{"JSON", originalJSON, portJSON},
	{"refusal", originalRefusal, portRefusal},
	{"opening", originalOpening, portOpening},
	{"text with line ends", originalLines, portLines},
	{"an invalid ID", originalBadID, portBadID},
	{"leaving a busy stream", cleansUp, cleansUp}, // no difference, in contrast to the next one
	{"leaving an idle stream", originalIdle, portIdle},
	{"as many streams as threads", originalFull, portFull},
	{"stopping", originalStop, portStop}, // must be the last one
}

// A port sends the headers that keep proxies and caches from holding the stream. Flask
// does not, so its users have to; the Django apps do it by hand.
func originalHeaders(t *testing.T, s *migrated) {
	h := ssetest.Open(t, s.url+"/events").Header
	want := http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-cache"}, "X-Accel-Buffering": {"no"}}
	if s.app == "flask" {
		want = http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}, "Cache-Control": {""}, "X-Accel-Buffering": {""}}
	}
	wantHeader(t, h, want)
}

func portHeaders(t *testing.T, s *migrated) {
	h := ssetest.Open(t, s.url+"/events").Header
	wantHeader(t, h, http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}, "Cache-Control": {"no-cache"}, "X-Accel-Buffering": {"no"}})
}

func wantHeader(t *testing.T, got, want http.Header) {
	t.Helper()
	for name := range want {
		if got, want := got.Get(name), want.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// The values are equal. Python's json writes them in ASCII, with three times as many
// bytes, unless it is told not to.
func originalJSON(t *testing.T, s *migrated) {
	wantIn(t, ssetest.Open(t, s.url+"/stream?user_id=ada").Next().Data, `["\u5f53\u524d`, `", "ada"]`)
}

func portJSON(t *testing.T, s *migrated) {
	wantIn(t, ssetest.Open(t, s.url+"/stream?user_id=ada").Next().Data, "[\"\u5f53\u524d", `","ada"]`)
}

func wantIn(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

// The renderer that an EventSource needs renders refusals too, so Django REST framework
// sends its JSON as text/event-stream.
func originalRefusal(t *testing.T, s *migrated) {
	want := "text/html"
	if s.app == "drf" {
		want = "text/event-stream"
	}
	if got := mediaOf(t, ssetest.Open(t, s.url+"/notice").Header); got != want {
		t.Errorf("got a refusal of type %q, want %q", got, want)
	}
}

func portRefusal(t *testing.T, s *migrated) {
	if got := ssetest.Open(t, s.url+"/notice").Header.Get("Content-Type"); strings.HasPrefix(got, "text/event-stream") {
		t.Errorf("got a refusal of type %q, want another", got)
	}
}

// The headers of a Python stream are sent with its first event, so a page does not know
// until then that it is connected.
func originalOpening(t *testing.T, s *migrated) {
	if opens(t, s, moment) {
		t.Error("got the headers before the first event, want them with it")
	}
}

func portOpening(t *testing.T, s *migrated) {
	if !opens(t, s, soon) {
		t.Error("got no headers before the first event, want them at once")
	}
}

// opens requests a stream that has no event yet, and reports whether its headers arrive
// within d. Then it ends the stream.
func opens(t *testing.T, s *migrated, d time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience+d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/notice?token=123&user_id=first", nil)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan *http.Response, 1)
	go func() {
		res, _ := new(http.Transport).RoundTrip(req)
		answered <- res
	}()
	early := false
	var res *http.Response
	select {
	case res = <-answered:
		early = true
	case <-time.After(d):
		s.tell(t, "at last")
		res = <-answered
	}
	if res == nil {
		t.Fatal("got no response")
	}
	_ = res.Body.Close()
	s.tellUntilLeft(t, "first")
	return early
}

// tellUntilLeft posts notices until that user's generator has ended.
func (s *migrated) tellUntilLeft(t *testing.T, user string) {
	t.Helper()
	for range 20 {
		if s.left(user, moment) {
			return
		}
		s.tell(t, "for nobody")
	}
	t.Fatalf("%s has left, but the generator did not end within 20 events", user)
}

// With an f-string, the author of a text can forge events.
const forgery = "one\ntwo\n\nevent: notice\ndata: forged"

func originalLines(t *testing.T, s *migrated) {
	s.tell(t, forgery)
	stream := ssetest.Open(t, s.url+"/notice?token=123&user_id=lines")
	ssetest.Equal(t, stream.Collect(2), []core.Event{{Type: "notice", Data: "one"}, {Type: "notice", Data: "forged"}})
	stream.Close()
	s.tellUntilLeft(t, "lines")
}

func portLines(t *testing.T, s *migrated) {
	s.tell(t, forgery)
	stream := ssetest.Open(t, s.url+"/notice?token=123&user_id=lines")
	ssetest.Equal(t, stream.Collect(1), []core.Event{{Type: "notice", Data: forgery}})
	stream.Close()
	s.tellUntilLeft(t, "lines")
}

// int() raises for a client's text that is not a number. Flask's type=int does not, and
// neither do the ports: they start from the beginning.
func originalBadID(t *testing.T, s *migrated) {
	want := http.StatusInternalServerError
	if s.app == "flask" {
		want = http.StatusOK
	}
	if got := withBadID(t, s).Status; got != want {
		t.Errorf("got status %d, want %d", got, want)
	}
}

func portBadID(t *testing.T, s *migrated) {
	if got, want := withBadID(t, s).Next().ID, "1"; got != want {
		t.Errorf("got ID %q, want %q", got, want)
	}
}

func withBadID(t *testing.T, s *migrated) *ssetest.Stream {
	t.Helper()
	return ssetest.Request{URL: s.url + "/stream?user_id=bad", Header: http.Header{"Last-Event-Id": {"seven"}}}.Open(t)
}

// A generator that yields often ends soon in Python too, because a write fails.
func cleansUp(t *testing.T, s *migrated) {
	stream := ssetest.Open(t, s.url+"/stream?user_id=busy")
	stream.Collect(2)
	stream.Close()
	if !s.left("busy", patience) {
		t.Error("the client has left a busy stream, but the generator did not end")
	}
}

// A Python generator that waits does not learn that its client has left: it keeps its
// thread, and takes the next notice from the queue although nobody reads it.
func originalIdle(t *testing.T, s *migrated) {
	leaveIdle(t, s)
	if s.left("idle", moment) {
		t.Error("the generator ended, want one that does not notice that its client has left")
	}
	s.tell(t, "lost")
	s.tellUntilLeft(t, "idle")
	s.tell(t, "kept")
	stream := ssetest.Open(t, s.url+"/notice?token=123&user_id=after")
	if got := stream.Next().Data; got == "lost" {
		t.Errorf("got %q, want it to be lost", got)
	}
	stream.Close()
	s.tellUntilLeft(t, "after")
}

// A port's generator ends at once, and the notice stays for the next reader.
func portIdle(t *testing.T, s *migrated) {
	leaveIdle(t, s)
	if !s.left("idle", soon) {
		t.Fatal("the client has left an idle stream, but the generator did not end")
	}
	s.tell(t, "kept")
	stream := ssetest.Open(t, s.url+"/notice?token=123&user_id=after")
	if got, want := stream.Next().Data, "kept"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func leaveIdle(t *testing.T, s *migrated) {
	t.Helper()
	s.tell(t, "first")
	stream := ssetest.Open(t, s.url+"/notice?token=123&user_id=idle")
	stream.Next()
	stream.Close()
}

// Each stream takes one of Gunicorn's threads, and without a free thread no view answers.
func originalFull(t *testing.T, s *migrated) {
	if fullAnswers(t, s, moment) {
		t.Error("got an answer, want none while each thread has a stream")
	}
}

func portFull(t *testing.T, s *migrated) {
	if !fullAnswers(t, s, patience) {
		t.Error("got no answer, want one")
	}
}

// fullAnswers opens a stream for each thread, and reports whether another request
// is answered within d.
func fullAnswers(t *testing.T, s *migrated, d time.Duration) bool {
	t.Helper()
	for range threads {
		stream := ssetest.Open(t, s.url+"/stream?user_id=full")
		stream.Next()
		defer stream.Close()
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: d}
	res, err := client.Get(s.url + "/events")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return true
}

// Gunicorn waits for its threads for as long as --graceful-timeout says, and does not end
// a stream. A port ends its streams, tells the clients when to come back, and stops.
func originalStop(t *testing.T, s *migrated) {
	terminate(t, s)
	if s.endsWithin(4 * moment) {
		t.Error("the server stopped, want one that waits for its stream")
	}
}

func portStop(t *testing.T, s *migrated) {
	stream := terminate(t, s)
	events := stream.All()
	if n := len(events); n == 0 || events[n-1].Retry < time.Second {
		t.Errorf("got %+v, want a reconnection time at the end", events)
	}
	if !s.endsWithin(patience) {
		t.Fatal("the server did not stop")
	}
	if got := s.cmd.ProcessState.ExitCode(); got != 0 {
		t.Errorf("got exit code %d, want 0", got)
	}
}

func terminate(t *testing.T, s *migrated) *ssetest.Stream {
	t.Helper()
	stream := ssetest.Request{URL: s.url + "/stream?user_id=last", Comments: true}.Open(t)
	stream.Next()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return stream
}
