package browsers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.AtOnce(12) // they wait for half of their time
	browsertest.Main(m, "../../examples/auth")
}

// A page is a window with EventSources.
type page struct{ *browsertest.Page }

func openPage(t *testing.T, b browser.Profile, url string) *page {
	t.Helper()
	return &page{browsertest.Open(t, b, url)}
}

func eval[T any](p *page, js string) T {
	p.Helper()
	return browsertest.Eval[T](p.Page, js)
}

// jsonOf returns v as JSON.
func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The states of an EventSource.
const (
	connecting = 0
	opened     = 1
	closed     = 2
)

// A dispatch is an event that an EventSource dispatches, with its readyState at that
// moment. The first one has the type fresh, and stands for the new EventSource.
type dispatch struct {
	Type  string `json:"type"`
	State int    `json:"state"`
	ID    string `json:"id"`
	Data  string `json:"data"`
}

// dispatches returns the dispatches of a stream's events.
func dispatches(events []core.Event) []dispatch {
	var all []dispatch
	for _, e := range events {
		if e.Type == "" {
			e.Type = "message"
		}
		all = append(all, dispatch{e.Type, opened, e.ID, e.Data})
	}
	return all
}

// always are the types that every EventSource may dispatch.
var always = []string{"open", "message", "error"}

// listen opens an EventSource, which has a name in the page. It listens for these types,
// and for those of always.
func (p *page) listen(name, url, init string, types ...string) {
	p.Helper()
	p.Do(fmt.Sprintf(`
		const es = new EventSource(%q, %s);
		const all = [{ type: "fresh", state: es.readyState, id: "", data: "" }];
		for (const type of %s) es.addEventListener(type, (e) =>
			all.push({ type: e.type, state: es.readyState, id: e.lastEventId ?? "", data: e.data ?? "" }));
		(window.sources ??= {})[%q] = { es, all };
		window.report = () => JSON.stringify(sources).slice(0, 5000);`, url, init, jsonOf(p.T, slices.Concat(always, types)), name))
}

// sees waits until an EventSource has dispatched as many events as are wanted, or a
// different one, and compares them.
func (p *page) sees(name string, want []dispatch) {
	p.Helper()
	all := fmt.Sprintf("sources[%q].all", name)
	same := fmt.Sprintf("%s.every((e, i) => JSON.stringify(e) === JSON.stringify(%s[i]))", all, jsonOf(p.T, want))
	got := browsertest.When[[]dispatch](p.Page, fmt.Sprintf("%s.length >= %d || !%s", all, len(want), same), all)
	for i, e := range got {
		if i < len(want) && e != want[i] {
			p.Errorf("%s, event %d: got %+v, want %+v", name, i+1, e, want[i])
		}
	}
	if len(got) != len(want) {
		p.Fatalf("%s: got %d events, want %d: %+v", name, len(got), len(want), got)
	}
}

func (p *page) closeSource(name string) {
	p.Helper()
	p.Do(fmt.Sprintf(`sources[%q].es.close();`, name))
}

// A scene is a page and the server that it comes from, in one protocol.
type scene struct {
	*page
	srv   *hosts.Server
	proto string // of its requests
}

// TestEventSource runs in each browser on each framework. One of the browsers uses HTTP/1.1,
// and the other one TLS, which means HTTP/2 except on fiber; on the next framework they change
// places.
func TestEventSource(t *testing.T) {
	for i, framework := range hosts.Frameworks() {
		t.Run(strings.ReplaceAll(framework, "/", " "), func(t *testing.T) {
			t.Parallel()
			browsertest.Run(t, func(t *testing.T, b browser.Profile) {
				p := openPage(t, b, "about:blank") // one window for all, because windows are slow to open
				secure := browsertest.Second(t, i)
				proto, name, serve := "HTTP/1.1", "HTTP 1.1", hosts.Serve
				switch {
				case secure && !hosts.HTTP2(framework):
					name, serve = "HTTP 1.1 over TLS", hosts.ServeTLS
				case secure:
					proto, name, serve = "HTTP/2.0", "HTTP 2", hosts.ServeTLS
				}
				for _, test := range []struct {
					name string
					run  func(s scene)
					opts []core.Option
				}{
					{"life", testLife, nil},
					{"cut", testCut, []core.Option{core.WithHeartbeat(0)}},
					{"life, compressed", testLife, []core.Option{core.WithCompression()}},
					{"cut, compressed", testCut, []core.Option{core.WithHeartbeat(0), core.WithCompression()}},
					{"retry", testRetry, nil},
					{"across origins", testAcrossOrigins, nil},
				} {
					t.Run(name+"/"+test.name, func(t *testing.T) {
						srv := serve(t, framework, test.opts...)
						s := scene{&page{p.On(t)}, srv, proto}
						s.Visit(srv.URL + "/page")
						defer srv.Cut()              // cuts what the browser has opened in advance
						defer s.Visit("about:blank") // closes the streams
						test.run(s)
					})
				}
			})
		})
	}
}

// arrives waits for a request, with this last event ID.
func (s scene) arrives(path, lastEventID string) hosts.Arrival {
	s.Helper()
	a := s.srv.Arrived(path)
	if a.LastEventID != lastEventID || a.Proto != s.proto {
		s.Errorf("%s: got Last-Event-ID %q in %s, want %q in %s", path, a.LastEventID, a.Proto, lastEventID, s.proto)
	}
	if !strings.Contains(a.Encodings, "gzip") {
		s.Errorf("%s: the browser accepts only %q, so nothing is compressed", path, a.Encodings)
	}
	return a
}

// An EventSource opens, gets each event once, comes back after a broken end and
// after a clean one, and stops at 204.
func testLife(s scene) {
	all := dispatches(hosts.Events())
	s.listen("events", "/events", "{}", "add", "token", "last")
	s.arrives("/events", "")
	want := append([]dispatch{{"fresh", connecting, "", ""}, {"open", opened, "", ""}}, all[0])
	s.sees("events", want)
	s.srv.GoOn("/events")
	want = append(want, all[1:hosts.Cut]...)
	s.sees("events", want)
	s.srv.GoOn("/events")
	want = append(want, dispatch{"error", connecting, "", ""}, dispatch{"open", opened, "", ""})
	want = append(append(want, all[hosts.Cut:]...), dispatch{"error", connecting, "", ""}, dispatch{"error", closed, "", ""})
	s.sees("events", want)
	s.arrives("/events", "4")
	s.arrives("/events", "8")

	// If it came back, it would do so before one that is opened later.
	s.listen("soon", "/soon", "{}")
	s.arrives("/soon", "")
	s.arrives("/soon", "1")
	s.closeSource("soon")
	if got := s.srv.Waiting("/events"); got != 0 {
		s.Errorf("got %d requests after 204, want none", got)
	}
	s.sees("events", want)
}

// If a connection breaks off in the middle of an event, or between two, no event is lost
// and none comes twice.
func testCut(s scene) {
	want := []dispatch{{"fresh", connecting, "", ""}, {"open", opened, "", ""}}
	next := func(id string) {
		s.Helper()
		s.srv.GoOn("/count")
		want = append(want, dispatch{"message", opened, id, id})
		s.sees("count", want)
	}
	back := func(id string) {
		s.Helper()
		s.arrives("/count", id)
		want = append(want, dispatch{"error", connecting, "", ""}, dispatch{"open", opened, "", ""})
		s.sees("count", want)
	}
	s.listen("count", "/count", "{}")
	s.arrives("/count", "")
	s.sees("count", want)
	next("1")
	next("2")
	s.srv.CutNext()
	s.srv.GoOn("/count")
	s.srv.Ended("/count")
	back("2")
	next("3")
	s.srv.Cut()
	s.srv.Ended("/count")
	back("3")
	next("4")
	s.closeSource("count")
	s.srv.Ended("/count")
}

// The server says how long a client has to wait: one with a short time comes back at
// least twice before one with a long time. A busy machine may be late, but not each time.
func testRetry(s scene) {
	begins := func(path string) hosts.Arrival { // skips a request that came when its source was closed
		for {
			if a := s.srv.Arrived(path); a.LastEventID == "" {
				return a
			}
		}
	}
	var got []int
	for range 5 {
		s.listen("soon", "/soon", "{}")
		begins("/soon")
		s.listen("late", "/late", "{}")
		first := begins("/late")
		again := s.arrives("/late", "1")
		s.closeSource("late")
		s.closeSource("soon")
		if took := again.Time.Sub(first.Time); took < hosts.Late {
			s.Errorf("/late was asked again after %v, want at least %v", took, hosts.Late)
		}
		n := 0
		for ; s.srv.Waiting("/soon") > 0; n++ {
			s.arrives("/soon", "1")
		}
		if n >= 2 {
			return
		}
		got = append(got, n)
	}
	s.Errorf("got %v requests for /soon in the meantime, want at least 2", got)
}

// A page from another origin reads with the user's cookie if it asks to, and without it
// if not. It reads nothing if the server does not know its origin.
func testAcrossOrigins(s scene) {
	s.Do(`document.cookie = "user=Ada";`)
	elsewhere := httptest.NewUnstartedServer(http.NotFoundHandler())
	if strings.HasPrefix(s.srv.URL, "https:") {
		elsewhere.StartTLS()
	} else {
		elsewhere.Start()
	}
	s.Cleanup(elsewhere.Close)
	stranger := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	const plain, withCookies = "{}", "{ withCredentials: true }"
	for _, test := range []struct {
		name   string
		page   string
		init   string
		cookie string
		refuse bool
	}{
		{"the same origin", s.srv.URL + "/page", plain, "Ada", false},
		{"another origin with credentials", elsewhere.URL, withCookies, "Ada", false},
		{"another origin without them", elsewhere.URL, plain, "", false},
		{"an unknown origin", stranger, withCookies, "", true},
	} {
		s.Run(test.name, func(t *testing.T) {
			p := &page{s.On(t)}
			p.Visit(test.page)
			p.listen(test.name, s.srv.URL+"/user", test.init)
			want := []dispatch{{"fresh", connecting, "", ""}}
			if test.refuse {
				p.sees(test.name, append(want, dispatch{"error", closed, "", ""}))
				return
			}
			p.sees(test.name, append(want,
				dispatch{"open", opened, "", ""}, dispatch{"message", opened, "1", test.cookie}, dispatch{"error", connecting, "", ""},
				dispatch{"open", opened, "", ""}, dispatch{"message", opened, "2", test.cookie}))
			p.closeSource(test.name)
			for i, id := range []string{"", "1"} {
				if got := s.srv.Arrived("/user"); got.LastEventID != id || got.Cookie != test.cookie {
					t.Errorf("request %d: got %+v, want Last-Event-ID %q and cookie %q", i+1, got, id, test.cookie)
				}
			}
		})
	}
}
