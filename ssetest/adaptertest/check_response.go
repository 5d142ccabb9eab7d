package adaptertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// streamHeaders are those of every stream.
var streamHeaders = map[string]string{
	"Content-Type":      "text/event-stream; charset=utf-8",
	"Cache-Control":     "no-cache",
	"X-Accel-Buffering": "no",
}

func wantHeaders(t testing.TB, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if values := got[name]; len(values) != 1 || values[0] != value {
			t.Errorf("got %s %q, want %q once", name, values, value)
		}
	}
}

func wantNoStream(t testing.TB, s *ssetest.Stream) {
	t.Helper()
	if kind := s.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/event-stream") {
		t.Errorf("got Content-Type %q in an answer that is not a stream", kind)
	}
	if values := s.Header["X-Accel-Buffering"]; values != nil {
		t.Errorf("got X-Accel-Buffering %q in an answer that is not a stream", values)
	}
}

func checkHeaders(t testing.TB, h mounted) {
	s := h.serve(t, map[string]View{"/works": works})
	st := s.request("/works").Open(t)
	if st.Status != http.StatusOK {
		t.Errorf("got status %d, want 200", st.Status)
	}
	wantHeaders(t, st.Header, streamHeaders)
	for _, name := range []string{"Content-Length", "Content-Encoding"} {
		if values := st.Header[name]; values != nil {
			t.Errorf("got %s %q, want none", name, values)
		}
	}
	ssetest.Equal(t, opened(t, st).All(), []core.Event{{Data: "yes"}})
	if h.protocol == HTTP1 || h.protocol == HTTP1TLS {
		return
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Transfer-Encoding"} {
		if values := st.Header[name]; values != nil {
			t.Errorf("got %s %q on %s, want none", name, values, h.protocol)
		}
	}
	// A Connection header would end the connection for all its streams.
	reused := false
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/works", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if !reused {
		t.Errorf("the connection was not reused after a stream on %s", h.protocol)
	}
}

func checkOwnHeaders(t testing.TB, h mounted) {
	s := h.serve(t, map[string]View{"/": func(_ context.Context, x Exchange) core.Stream {
		x.SetHeader("Content-Type", "text/event-stream;v=1")
		x.SetHeader("Cache-Control", "private, max-age=0")
		x.SetHeader("X-Own", "kept")
		return give()
	}})
	st := s.request("/").Open(t)
	wantHeaders(t, st.Header, map[string]string{
		"Content-Type": "text/event-stream;v=1", "Cache-Control": "private, max-age=0", "X-Own": "kept",
	})
	opened(t, st).All()
}

func checkOpening(t testing.TB, h mounted) {
	goAhead := make(chan struct{})
	s := h.serve(t, map[string]View{"/": steps(goAhead)})
	st := s.open("/")
	s.pass(goAhead)
	ssetest.Equal(t, st.Collect(1), []core.Event{{ID: "1"}})
}

// Some clients mistake a comment for an event, and no client that sends a body waits for
// a comment.
func checkOpeningPost(t testing.TB, h mounted) {
	goAhead := make(chan struct{})
	s := h.serve(t, map[string]View{"/": steps(goAhead)}, core.WithRetry(time.Second))
	r := s.request("/")
	r.Method, r.Body = http.MethodPost, "prompt"
	st := r.Open(t)
	s.pass(goAhead)
	ssetest.Equal(t, st.Collect(1), []core.Event{{ID: "1", Retry: time.Second}})
}

func checkHead(t testing.TB, h mounted) {
	var views, runs atomic.Int32
	group := new(core.Group)
	s := h.serve(t, map[string]View{"/": func(context.Context, Exchange) core.Stream {
		views.Add(1)
		return func(func(core.Event, error) bool) { runs.Add(1) }
	}}, core.WithGroup(group))
	r := s.request("/")
	r.Method = http.MethodHead
	st := r.Open(t)
	if st.Status != http.StatusOK {
		t.Errorf("got status %d, want 200", st.Status)
	}
	wantHeaders(t, st.Header, streamHeaders)
	if values := st.Header["Content-Length"]; values != nil {
		t.Errorf("got Content-Length %q, want none, as with GET", values)
	}
	if got := st.Body(); got != "" {
		t.Errorf("got body %q, want none", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	if err := group.Shutdown(ctx); err != nil {
		t.Errorf("the session did not end: %v", err)
	}
	if views.Load() != 1 || runs.Load() != 0 {
		t.Errorf("the view ran %d times and the generator %d times, want 1 and 0", views.Load(), runs.Load())
	}
}

func checkBody(t testing.TB, h mounted) {
	s := h.serve(t, map[string]View{"/": func(_ context.Context, x Exchange) core.Stream {
		b, err := io.ReadAll(x.Body)
		return func(yield func(core.Event, error) bool) { yield(core.Event{Data: string(b)}, err) }
	}})
	for _, body := range []string{"prompt", strings.Repeat("0123456789abcdef", 32<<10)} {
		r := s.request("/")
		r.Method, r.Body = http.MethodPost, body
		if got := openStream(t, r).Next().Data; got != body {
			t.Errorf("the view read %d bytes of a body of %d: %.20q", len(got), len(body), got)
		}
	}
}

func checkAnswers(t testing.TB, h mounted) {
	status := map[string]int{"forbidden": 403, "json": 200, "redirect": 303, "no-content": 204}
	s := h.serve(t, nil)
	for _, name := range Answers {
		want := s.request("/plain/" + name).Open(t)
		got := s.request("/" + name).Open(t)
		if code := status[name]; code != 0 && want.Status != code {
			t.Errorf("the mount answers /plain/%s with %d, not %d", name, want.Status, code)
		}
		if got.Status != want.Status {
			t.Errorf("%s: got status %d, want %d", name, got.Status, want.Status)
		}
		got.Header.Del("Date")
		want.Header.Del("Date")
		if !reflect.DeepEqual(got.Header, want.Header) {
			t.Errorf("%s: got headers %v, want %v", name, got.Header, want.Header)
		}
		if got, want := got.Body(), want.Body(); got != want {
			t.Errorf("%s: got body %q, want %q", name, got, want)
		}
		wantNoStream(t, got)
	}
}

// The mistake must show when the program starts, and not at the first request.
func checkNilView(t testing.TB, h mounted) {
	site := &Site{Views: map[string]View{"/": nil}, Listener: listen(t), Log: new(hosttest.Logbook), protocol: h.protocol}
	var shutdown func(context.Context) error
	defer func() {
		if recover() != nil {
			_ = site.Listener.Close()
			return
		}
		t.Error("the adapter has made a handler with a nil view, want a panic")
		_ = shutdown(context.Background())
	}()
	shutdown = h.Serve(t, site)
}

func checkBadOptions(t testing.TB, h mounted) {
	s := h.serve(t, map[string]View{"/works": works},
		nil, core.WithGroup(nil), core.WithErrorEvent(nil),
		core.WithHeartbeat(-time.Second), core.WithRetry(-time.Second), core.WithWriteTimeout(-time.Second),
		core.WithFlushWindow(-time.Second), core.WithMaxDuration(-time.Second), core.WithGroup(&core.Group{Limit: -1}))
	for range 3 {
		s.works()
	}
}

func checkQueryID(t testing.TB, h mounted) {
	view := func(ctx context.Context, _ Exchange) core.Stream {
		return give(core.Event{Data: core.LastEventID(ctx)})
	}
	s := h.serve(t, map[string]View{"/": view}, core.WithQueryID())
	without := h.serve(t, map[string]View{"/": view})
	for _, test := range []struct {
		name          string
		server        *server
		header, query string
		want          string
	}{
		{"a query", s, "", "?lastEventId=a%20b", "a b"},
		{"without the option", without, "", "?lastEventId=1", ""},
		{"a header too, which is newer", s, "2", "?lastEventId=1", "2"},
		{"a header that is not valid", s, "a\tb", "?lastEventId=1", "1"},
		{"two values", s, "", "?lastEventId=1&lastEventId=2", "1"},
		{"no value", s, "", "?lastEventId=", ""},
		{"another name", s, "", "?lasteventid=1", ""},
		{"1 KiB", s, "", "?lastEventId=" + strings.Repeat("x", 1<<10), strings.Repeat("x", 1<<10)},
		{"more", s, "", "?lastEventId=" + strings.Repeat("x", 1<<10+1), ""},
		{"a control character", s, "", "?lastEventId=a%0Ab", ""},
		{"invalid UTF-8", s, "", "?lastEventId=a%FFb", ""},
	} {
		r := test.server.request("/" + test.query)
		if test.header != "" {
			r.Header = http.Header{"Last-Event-Id": {test.header}}
		}
		st := r.Open(t)
		if got := opened(t, st).Next().Data; got != test.want {
			t.Errorf("%s: got ID %.40q, want %.40q", test.name, got, test.want)
		}
		st.Close()
	}
}

func checkLastEventID(t testing.TB, h mounted) {
	s := h.serve(t, map[string]View{"/": func(ctx context.Context, _ Exchange) core.Stream {
		return give(core.Event{Data: core.LastEventID(ctx)})
	}})
	kilobyte := strings.Repeat("x", 1<<10)
	for _, test := range []struct{ name, id, want string }{
		{"none", "", ""},
		{"a number", "42", "42"},
		{"inner spaces", "a b", "a b"},
		{"another alphabet", "\u00fc\u4e16", "\u00fc\u4e16"},
		{"1 KiB", kilobyte, kilobyte},
		{"more", kilobyte + "x", ""},
		{"a tab", "a\tb", ""},
		{"a control character beyond ASCII", "a\u0085b", ""},
		{"invalid UTF-8", "a\xffb", ""},
	} {
		r := s.request("/")
		if test.id != "" {
			r.Header = http.Header{"Last-Event-Id": {test.id}}
		}
		st := r.Open(t)
		if got := opened(t, st).Next().Data; got != test.want {
			t.Errorf("%s: got ID %.40q, want %.40q", test.name, got, test.want)
		}
		st.Close()
	}
	if h.protocol != HTTP1 {
		return
	}
	for _, id := range []string{"a\x01b", "a\x7fb", "a\x00b"} {
		st := s.openRaw("GET / HTTP/1.1\r\nHost: test\r\nLast-Event-ID: " + id + "\r\n\r\n")
		if st.Status == http.StatusBadRequest {
			continue // the host itself refuses it
		}
		if got := opened(t, st).Next().Data; got != "" {
			t.Errorf("got ID %q, want none", got)
		}
	}
}

// checkRequest opens a stream on a connection whose address it knows, if the protocol
// allows that.
func checkRequest(t testing.TB, h mounted) {
	requests := make(chan core.Request, 2)
	path := "/request"
	s := h.serve(t, map[string]View{path: func(ctx context.Context, _ Exchange) core.Stream {
		requests <- core.RequestOf(ctx)
		return func(func(core.Event, error) bool) { requests <- core.RequestOf(ctx) }
	}})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		addrs := make(chan string, 1)
		s.client.CloseIdleConnections()
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { addrs <- info.Conn.LocalAddr().String() }}
		ctx := httptrace.WithClientTrace(t.Context(), trace)
		r, err := http.NewRequestWithContext(ctx, method, s.url+path+"?x=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Last-Event-ID", "7")
		res, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		for _, where := range []string{"view", "generator"} {
			got := hosttest.ReceiveWithin(t, h.timeout, requests, "the call of the "+where)
			want := core.Request{RemoteAddr: got.RemoteAddr, Method: method, Path: path, Route: path, LastEventID: "7"}
			if h.protocol != HTTP3 { // its clients tell no address
				want.RemoteAddr = <-addrs
				addrs <- want.RemoteAddr
			}
			if addr, err := netip.ParseAddrPort(got.RemoteAddr); err != nil || !addr.Addr().IsLoopback() || got != want {
				t.Errorf("the %s got the request %+v, want %+v", where, got, want)
			}
		}
		s.end()
	}
	if got := core.RequestOf(t.Context()); got != (core.Request{}) {
		t.Errorf("got the request %+v outside a session, want none", got)
	}
}

func checkWire(t testing.TB, h mounted) {
	tests := []struct {
		event core.Event
		wire  string
	}{
		{core.Event{Data: " world"}, "data:  world\n\n"},
		{core.Event{Data: "a\r\nb\rc\nd"}, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
		{core.Event{Data: "a\n"}, "data: a\ndata: \n\n"},
		{core.Event{Data: "a\r"}, "data: a\ndata: \n\n"},
		{core.Event{Data: "\n\n"}, "data: \ndata: \ndata: \n\n"},
		{core.Event{}, "data: \n\n"},
		{core.Event{Data: ": no comment\nid: 7"}, "data: : no comment\ndata: id: 7\n\n"},
		{core.Event{Data: "a\u2028b\u2029c\u0085d\ve\ff"}, "data: a\u2028b\u2029c\u0085d\ve\ff\n\n"},
		{core.Event{Data: "a\x00b"}, "data: a\x00b\n\n"},
		{core.Event{Data: "\u65f6\u95f4 \U0001f600"}, "data: \u65f6\u95f4 \U0001f600\n\n"},
		{core.Event{Data: "a\xffb\xe4\xb8"}, "data: a\ufffdb\ufffd\n\n"},
		{core.Event{ID: "\xff", Type: "\xfe", Data: "x"}, "id: \ufffd\nevent: \ufffd\ndata: x\n\n"},
		{core.Event{ID: " 7", Type: " t"}, "id:  7\nevent:  t\ndata: \n\n"},
		{core.Event{ID: "8"}, "id: 8\ndata: \n\n"},
		{core.Event{Type: "add"}, "event: add\ndata: \n\n"},
		{core.Event{Retry: 1500 * time.Millisecond}, "retry: 1500\n\n"},
		{core.Event{Retry: time.Microsecond}, "retry: 1\n\n"},
		{core.Event{Comment: "one\ntwo\r\nthree"}, ": one\n: two\n: three\n\n"},
		{
			core.Event{ID: "9", Type: "add", Data: "x", Retry: time.Second, Comment: "note"},
			": note\nid: 9\nevent: add\nretry: 1000\ndata: x\n\n",
		},
	}
	s := h.serve(t, map[string]View{"/": func(context.Context, Exchange) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for _, test := range tests {
				if !yield(test.event, nil) {
					return
				}
			}
		}
	}})
	first, got, _ := strings.Cut(s.request("/").Open(t).Body(), "\n\n")
	if !strings.HasPrefix(first, ": ") {
		t.Errorf("the stream begins with %q, want a comment", first)
	}
	for _, test := range tests {
		rest, ok := strings.CutPrefix(got, test.wire)
		if !ok {
			block, after, _ := strings.Cut(got, "\n\n")
			t.Errorf("%s: got %q, want %q", fmt.Sprintf("%+v", test.event), block+"\n\n", test.wire)
			rest = after
		}
		got = rest
	}
	if got != "" {
		t.Errorf("after the last event came %q", got)
	}
}

func checkRetry(t testing.TB, h mounted) {
	s := h.serve(t, map[string]View{"/works": works}, core.WithRetry(1234*time.Millisecond))
	ssetest.Equal(t, s.open("/works").All(), []core.Event{{Data: "yes", Retry: 1234 * time.Millisecond}})
}
