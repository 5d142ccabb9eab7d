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

	patience = time.Minute            // how long is waited for what must happen
	moment   = 300 * time.Millisecond // how long is waited for what must not happen
	soon     = 3 * time.Second        // how long for what a heartbeat, after 15 s, must not have to bring about
)

// What a client of the Python originals in examples/migrate sees, it sees of their
// ports: status, media type, events, refusals, resumption. Where they differ, they
// do so on purpose.
func TestMigrate(t *testing.T) {
	python := findPython(t)
	for _, app := range originals {
		t.Run(app, func(t *testing.T) {
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

// A visit is a request of which originals and ports make the same.
type visit struct {
	name   string
	method string
	path   string
	last   string // event ID
	notice string // posted first
	events int    // of a stream without an end; 0 reads to the end
}

var visits = []visit{
	{name: "ticker", path: "/stream?user_id=ada", events: 3},
	{name: "ticker of nobody", path: "/stream", events: 1},
	{name: "ticker, with other characters", path: "/stream?user_id=%C3%89va+%22%3C%26", events: 1},
	{name: "ticker, resumed", path: "/stream?user_id=ada", last: "7", events: 2},
	{name: "time", path: "/time", events: 2},
	{name: "notice", path: "/notice?token=123&user_id=reader", notice: "hello, \u4e16\u754c: <b>", events: 1},
	{name: "notice without a token", path: "/notice"},
	{name: "notice with a wrong token", path: "/notice?token=wrong"},
	{name: "to post with a wrong token", path: "/notice?token=wrong", method: http.MethodPost},
	{name: "sentences", path: "/events"},
	{name: "sentences, resumed", path: "/events", last: "1"},
	{name: "sentences, all seen", path: "/events", last: "3"},
	{name: "more sentences", path: "/events?n=2000", last: "20"},
	{name: "a wrong method", path: "/stream", method: http.MethodPost},
}

// A sight is what a client sees, but for what depends on the time and on the
// way in which JSON is written.
type sight struct {
	Status int
	Media  string // of a stream
	Events []core.Event
	Body   string // of a refusal that is the view's own
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
		// Django's PermissionDenied is its own page to show, as a port's error is its
		// framework's.
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

// plainJSON returns text as it is, or if it is JSON, in one way of writing it.
func plainJSON(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	b, _ := json.Marshal(v) //nolint:errchkjson // it has come from JSON
	return string(b)
}

// A difference is where a port does better than its original, which is shown as
// well: should it change, the guide is to change too.
var differences = []struct {
	name           string
	original, port func(*testing.T, *migrated)
}{
	{"headers", originalHeaders, portHeaders},
	{"JSON", originalJSON, portJSON},
	{"refusal", originalRefusal, portRefusal},
	{"opening", originalOpening, portOpening},
	{"text with line ends", originalLines, portLines},
	{"an ID that is none", originalBadID, portBadID},
	{"leaving a busy stream", cleansUp, cleansUp}, // no difference, but see the next one
	{"leaving an idle stream", originalIdle, portIdle},
	{"as many streams as threads", originalFull, portFull},
	{"stopping", originalStop, portStop}, // the last one
}

// A port says what keeps proxies and caches from holding the stream. Flask does
// not, so its users have to; the Django apps do it by hand.
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

// The values are equal. Python's json writes them in ASCII, in three times the
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

// The renderer that lets an EventSource in renders refusals too, so Django REST
// framework calls its JSON a stream.
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

// The headers of a Python stream leave with its first event, so that a page does
// not hear until then that it is connected.
func originalOpening(t *testing.T, s *migrated) {
	if opens(t, s, moment) {
		t.Error("got the headers before the first event, want them with it")
	}
}

func portOpening(t *testing.T, s *migrated) {
	if !opens(t, s, soon) {
		t.Error("got no headers before the first event")
	}
}

// opens asks for a stream that has no event yet, and reports whether its headers come
// within d. A notice then has it end, in vain.
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

// tellUntilLeft sends notices until that reader's generator is cleaned up.
func (s *migrated) tellUntilLeft(t *testing.T, user string) {
	t.Helper()
	for range 20 {
		if s.left(user, moment) {
			return
		}
		s.tell(t, "for nobody")
	}
	t.Fatalf("%s has left, and the generator has not ended after 20 events", user)
}

// An f-string lets whoever writes a text write events.
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

// int() of what a client has sent raises. Flask's type=int does not, nor do the
// ports: they begin anew.
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

// A generator that yields often is cleaned up soon in Python too: a write fails.
func cleansUp(t *testing.T, s *migrated) {
	stream := ssetest.Open(t, s.url+"/stream?user_id=busy")
	stream.Collect(2)
	stream.Close()
	if !s.left("busy", patience) {
		t.Error("the client has left a busy stream, and the generator has not ended")
	}
}

// A Python generator that waits is not told that its client has left: it keeps its
// thread, and takes the next notice from the queue for nobody.
func originalIdle(t *testing.T, s *migrated) {
	leaveIdle(t, s)
	if s.left("idle", moment) {
		t.Error("the generator has ended, want one that does not know that its client has left")
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

// A port's generator ends at once, and the notice is there for the next reader.
func portIdle(t *testing.T, s *migrated) {
	leaveIdle(t, s)
	if !s.left("idle", soon) {
		t.Fatal("the client has left an idle stream, and the generator has not ended")
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

// A stream has a thread of Gunicorn's, and when there are no more, no view answers.
func originalFull(t *testing.T, s *migrated) {
	if fullAnswers(t, s, moment) {
		t.Error("got an answer, want none while each thread has its stream")
	}
}

func portFull(t *testing.T, s *migrated) {
	if !fullAnswers(t, s, patience) {
		t.Error("got no answer")
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

// Gunicorn waits for its threads, and for as long as --graceful-timeout says: a
// stream does not end by itself. A port ends its streams, tells the clients when
// to come back, and stops.
func originalStop(t *testing.T, s *migrated) {
	terminate(t, s)
	if s.endsWithin(4 * moment) {
		t.Error("the server has stopped, want one that waits for its stream")
	}
}

func portStop(t *testing.T, s *migrated) {
	stream := terminate(t, s)
	events := stream.All()
	if n := len(events); n == 0 || events[n-1].Retry < time.Second {
		t.Errorf("got %+v, want a reconnection time at the end", events)
	}
	if !s.endsWithin(patience) {
		t.Fatal("the server does not stop")
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
