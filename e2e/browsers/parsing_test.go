package browsers_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
)

// A body is what a server sends, in chunks.
type body struct {
	name   string
	chunks []string
}

// bodies are written by hand, each for a rule of the standard.
var bodies = []body{
	{"nothing", nil},
	{"one event", []string{"data: x\n\n"}},
	{"CR", []string{"id: 1\rdata: x\r\rdata: y\r\r"}},
	{"CRLF", []string{"id: 1\r\ndata: x\r\n\r\ndata: y\r\n\r\n"}},
	{"line ends mixed", []string{"id: 1\rdata: a\ndata: b\r\ndata: c\n\r\ndata: d\r\n\rdata: e\r\r\n"}},
	{"LF CR is two line ends", []string{"data: x\n\rdata: y\n\r"}},
	{"CRLF in two chunks", []string{"data: x\r", "\n\r", "\ndata: y\r\n\r\n"}},
	{"CR ends a chunk and a line", []string{"data: x\r", "data: y\r\r", "data: z\r", "\r"}},
	{"CRLF after CR in two chunks", []string{"data: x\r\r", "\ndata: y\r\n", "\r\n"}},
	{"a byte a chunk", strings.Split("id: 1\r\nevent: t\r\ndata: a: b\r\n\r\n", "")},
	{"characters in two chunks", []string{"data: \xE4\xBD", "\xA0 \xF0\x9F", "\x98\x80\n\n"}},

	{"BOM", []string{"\uFEFFdata: x\n\n"}},
	{"BOM in two chunks", []string{"\xEF\xBB", "\xBFdata: x\n\n"}},
	{"BOM and a blank line", []string{"\uFEFF\ndata: x\n\n"}},
	{"BOM twice", []string{"\uFEFF\uFEFFdata: x\n\ndata: y\n\n"}},
	{"BOM on a later line", []string{"\n\uFEFFdata: x\n\ndata: y\n\n"}},
	{"BOM in a value", []string{"data:\uFEFFx\n\n"}},
	{"part of a BOM", []string{"\xEF\xBBdata: x\n\ndata: y\n\n"}},

	{"no space", []string{"data:x\n\n"}},
	{"two spaces", []string{"data:  x\n\n"}},
	{"a tab", []string{"data:\tx\n\n"}},
	{"a no-break space", []string{"data:\u00A0x\n\n"}},
	{"trailing spaces", []string{"data: x \t \n\n"}},
	{"colons in the value", []string{"data::x: y:\n\n"}},
	{"fields without a colon", []string{"data\n\ndata\ndata\n\nid: 1\nevent: t\ndata\nid\nevent\n\n"}}, //nolint:dupword // intended
	{"a colon alone", []string{":\ndata: x\n:\n\n"}},
	{"case counts", []string{"Data: x\nDATA: y\ndata: z\nID: 1\nEvent: t\n\n"}},
	{"unknown fields", []string{"datax: a\ndat: b\nfoo\nfoo: c\nretr: 1\ndata: x\n\n"}},
	{"a space before the name", []string{" data: x\n\ndata: y\n\n"}},
	{"a space after the name", []string{"data : x\n\ndata: y\n\n"}},
	{"a line of a space", []string{"data: x\n \ndata: y\n\n"}},
	{"no line ends", []string{"data: a\vb\fc\u0085d\u2028e\u2029\n\n"}},
	{"comments", []string{": a\n:b\ndata: x\n: data: y\n\n:\n\n: c\n\n"}},

	{"data of lines", []string{"data: a\ndata: b\ndata:\ndata: c\ndata:\n\n"}},
	{"empty data", []string{"data:\n\ndata: \n\n"}},
	{"no data", []string{"event: t\nid: 1\n\ndata: x\n\n"}},
	{"blank lines", []string{"\n\n\ndata: x\n\n\n\ndata: y\n\n\n"}},
	{"NUL in data", []string{"data: a\x00b\n\n"}},
	{"other alphabets", []string{"id: \u00E9\nevent: \u6642\u9593\ndata: \u5F53\u524D \U0001F600 \u0645\u0631\n\n"}},
	{"invalid UTF-8", []string{"data: \xFF \xF0\x9F\x98x \xC0\xAF \xED\xA0\x80 \xE2\x82\n\ndata: y\n\n"}},
	{"invalid UTF-8 in a type and an ID", []string{"id: \xFF\nevent: \xE2\x82\ndata: x\n\n"}},
	{"not ended", []string{"data: x\n\ndata: y\n"}},
	{"not ended in a line", []string{"data: x\n\nid: 1\ndata: y"}},
	{"a long line", []string{"data: " + strings.Repeat("0123456789abcdef", 1<<16) + "\n\ndata: y\n\n"}},
	{"many lines", []string{strings.Repeat("data: line\n", 10_000) + "\n"}},
	{"many events", []string{strings.Repeat("data: x\n\n", 2000)}},

	{"a type", []string{"event: t\ndata: x\n\ndata: y\n\n"}},
	{"the type message", []string{"event: message\ndata: x\n\n"}},
	{"an empty type", []string{"event: t\nevent:\ndata: x\n\nevent\ndata: y\n\n"}},
	{"the last of two types", []string{"event: t\nevent: u\ndata: x\n\n"}},
	{"a type without data", []string{"event: t\n\ndata: x\n\n"}},
	{"a type with spaces", []string{"event:  a b \ndata: x\n\n"}},
	{"the types open and error", []string{"event: open\ndata: x\n\nevent: error\ndata: y\n\n"}},

	{"an ID persists", []string{"id: 1\ndata: x\n\ndata: y\n\n"}},
	{"an ID after the data", []string{"data: x\nid: 1\n\n"}},
	{"the last of two IDs", []string{"id: 1\nid: 2\ndata: x\n\n"}},
	{"an empty ID", []string{"id: 1\ndata: x\n\nid:\ndata: y\n\n"}},
	{"an ID without a colon", []string{"id: 1\ndata: x\n\nid\ndata: y\n\n"}},
	{"an ID with NUL", []string{"id: 1\ndata: x\n\nid: 2\x003\ndata: y\n\n"}},
	{"an ID alone", []string{"id: 1\ndata: x\n\nid: 2\n\n"}},
	{"an ID alone, then data", []string{"id: 1\n\ndata: x\n\n"}},
	{"an ID that is not ended", []string{"id: 1\ndata: x\n\nid: 2\ndata: y\n"}},

	// 8 s are well above the defaults of browsers, which are 3 s and 5 s.
	{"retry", []string{"retry: 8000\n\ndata: x\n\n"}},
	{"retry at once", []string{"retry: 8000\ndata: x\n"}},
	{"retry with leading zeros", []string{"retry: 0008000\n\n"}},
	{"the last of two retries", []string{"retry: 600000\nretry: 8000\n\n"}},
	{"a retry that is not a number", []string{
		"retry: 8000\n\nretry: 600000x\nretry: +600000\nretry:  600000\nretry: 600000.0\nretry: 6e5\nretry: 0x927C0\n\n",
	}},
	{"an empty retry", []string{"retry: 8000\nretry:\nretry\n\n"}},
}

// wire returns the body without its chunks.
func (b body) wire() io.Reader { return strings.NewReader(strings.Join(b.chunks, "")) }

// endOfBody is the type of the event that follows a body, over a second connection.
const endOfBody = "end of body"

// An expectation is what a body means: the events, the last event ID that the client
// comes back with, and how long it waits.
type expectation struct {
	events      []dispatch
	lastEventID string
	retry       time.Duration // 0 means the browser's default
}

// expect returns what core.Parser makes of a body.
func expect(t *testing.T, b body) expectation {
	t.Helper()
	var p core.Parser
	var events []core.Event
	for e, err := range p.Read(b.wire()) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return expectation{dispatches(events), p.LastEventID, p.Retry}
}

// deviations are the cases in which a browser does not follow the standard, by the names
// of the browser and the body. Each changes the expectation to what the browser does.
var deviations = map[[2]string]func(e *expectation){
	// The line after a byte order mark and an LF is lost.
	{"chromium", "BOM and a blank line"}: func(e *expectation) { e.events = nil },

	// An ID counts only in a block that has data.
	{"firefox", "no data"}:                func(e *expectation) { e.events[0].ID, e.lastEventID = "", "" },
	{"firefox", "an ID alone"}:            func(e *expectation) { e.lastEventID = "1" },
	{"firefox", "an ID alone, then data"}: func(e *expectation) { e.events[0].ID, e.lastEventID = "", "" },

	// NUL is removed from data, and an event whose ID has one is lost.
	{"firefox", "NUL in data"}:    func(e *expectation) { e.events[0].Data = "ab" },
	{"firefox", "an ID with NUL"}: func(e *expectation) { e.events = e.events[:1] },

	// An empty retry means the browser's default.
	{"chromium", "an empty retry"}: func(e *expectation) { e.retry = 3 * time.Second },

	// An empty retry means zero, and half a second is the minimum.
	{"firefox", "an empty retry"}: func(e *expectation) { e.retry = 500 * time.Millisecond },
}

// late is how late a reconnection may be. It is less than the difference between the
// times that must be told apart: 3 s and 8 s, 0.5 s and 5 s.
const late = 4 * time.Second

// Browsers and core.Parser find the same events, last event ID and reconnection time in
// the same bytes.
func TestParsing(t *testing.T) {
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		srv := serveBodies(t)
		window := openPage(t, b, srv.URL)
		types := []string{endOfBody}
		for _, body := range bodies {
			for _, d := range expect(t, body).events {
				types = append(types, d.Type, strings.TrimSpace(d.Type))
			}
		}
		slices.Sort(types)
		types = slices.DeleteFunc(slices.Compact(types), func(typ string) bool { return slices.Contains(always, typ) })
		for i, body := range bodies {
			window.listen(body.name, "/"+strconv.Itoa(i), "{}", types...)
		}
		for i, body := range bodies {
			t.Run(body.name, func(t *testing.T) {
				page := &page{window.On(t)}
				want := expect(t, body)
				if deviate := deviations[[2]string{browserOf(t), body.name}]; deviate != nil {
					deviate(&want)
				}
				events := append([]dispatch{{"fresh", connecting, "", ""}, {"open", opened, "", ""}}, want.events...)
				events = append(events, dispatch{"error", connecting, "", ""}, dispatch{"open", opened, "", ""},
					dispatch{endOfBody, opened, "", want.lastEventID})

				page.Wait(fmt.Sprintf(`sources[%q].all.some((e) => e.type === %q)`, body.name, endOfBody))
				page.closeSource(body.name)
				got := eval[[]dispatch](page, fmt.Sprintf(`sources[%q].all`, body.name))
				end := 1 + slices.IndexFunc(got, func(d dispatch) bool { return d.Type == endOfBody })
				got = got[:end]
				got[end-1].ID = "" // browsers differ here; what counts is the ID that the server got
				if !slices.Equal(got, events) {
					t.Errorf("got  %.1000s\nwant %.1000s", jsonOf(t, got), jsonOf(t, events))
				}
				if got := srv.after(i); want.retry > 0 && (got < want.retry || got > want.retry+late) {
					t.Errorf("got a reconnection after %v, want it after %v and within %v more", got, want.retry, late)
				}
			})
		}
	})
}

// browserOf returns the name of the browser that a test of browsertest.Run runs in.
func browserOf(t *testing.T) string {
	t.Helper()
	return strings.Split(t.Name(), "/")[1]
}

// A bodyServer sends a body to the first request for its number, and an event with
// the last event ID to the second.
type bodyServer struct {
	*httptest.Server
	mu    sync.Mutex
	ended map[string]time.Time
	again map[string]time.Time
}

func serveBodies(t *testing.T) *bodyServer {
	t.Helper()
	s := &bodyServer{ended: make(map[string]time.Time), again: make(map[string]time.Time)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements [http.Handler].
func (s *bodyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil {
		return // an empty page
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended[r.URL.Path].IsZero() {
		s.mu.Unlock()
		for _, chunk := range bodies[i].chunks {
			_, _ = io.WriteString(w, chunk)
			_ = out.Flush()
			<-time.After(5 * time.Millisecond) // so that chunks are read one by one
		}
		s.mu.Lock()
		s.ended[r.URL.Path] = time.Now()
		return
	}
	s.again[r.URL.Path] = time.Now()
	fmt.Fprintf(w, "retry: 600000\nevent: %s\ndata: %s\n\n", endOfBody, r.Header.Get("Last-Event-ID"))
}

// after returns how long after the end of a body the browser came back.
func (s *bodyServer) after(i int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := "/" + strconv.Itoa(i)
	return s.again[path].Sub(s.ended[path])
}
