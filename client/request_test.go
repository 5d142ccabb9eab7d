package client_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestRequestHeaders(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		opts   []client.Option
		want   map[string]string // "-" is none
	}{
		{"nothing set", nil, nil, map[string]string{
			"Accept": "text/event-stream", "Cache-Control": "no-cache", "Accept-Encoding": "identity", "Last-Event-Id": "-",
		}},
		{
			"all set", http.Header{"Accept": {"*/*"}, "Cache-Control": {"no-store"}, "Accept-Encoding": {"br"}, "Authorization": {"Bearer x"}, "Cookie": {"a=b"}}, nil,
			map[string]string{"Accept": "*/*", "Cache-Control": "no-store", "Accept-Encoding": "br", "Authorization": "Bearer x", "Cookie": "a=b"},
		},
		{"an ID", nil, []client.Option{client.WithLastEventID("7")}, map[string]string{"Last-Event-Id": "7"}},
		{"the request's own ID", http.Header{"Last-Event-Id": {"8"}}, nil, map[string]string{"Last-Event-Id": "8"}},
		{"the option's ID wins", http.Header{"Last-Event-Id": {"8"}}, []client.Option{client.WithLastEventID("7")}, map[string]string{"Last-Event-Id": "7"}},
		{"an empty ID", http.Header{"Last-Event-Id": {""}}, []client.Option{client.WithLastEventID("")}, map[string]string{"Last-Event-Id": "-"}},
		{"nil options", nil, []client.Option{nil, client.WithHTTPClient(nil), client.WithConnected(nil), client.WithDisconnected(nil)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t)
			req := get(t, s.url)
			req.Header = tt.header
			before := maps.Clone(tt.header)
			_, err := collect(t, client.Stream(req, tt.opts...))
			wantErr(t, err, client.ErrStopped)
			for name, want := range tt.want {
				got := "-"
				if values, ok := s.seen()[0].Header[name]; ok {
					got = strings.Join(values, ",")
				}
				if got != want {
					t.Errorf("got %s %q, want %q", name, got, want)
				}
			}
			if !maps.EqualFunc(req.Header, before, slices.Equal) {
				t.Errorf("the caller's headers are now %v, want %v", req.Header, before)
			}
		})
	}
}

// The request's ID holds until the stream brings another, also for events without one.
func TestStartingID(t *testing.T) {
	s := serve(t, ok+"data: a\n\n", ok+"id: 2\ndata: b\n\n", ok+"id:\ndata: c\n\n")
	req := get(t, s.url)
	req.Header.Set("Last-Event-ID", "1")
	stream := client.Stream(req, soon())
	got, err := collect(t, stream)
	wantErr(t, err, client.ErrStopped)
	ssetest.Equal(t, got, []core.Event{{ID: "1", Data: "a"}, {ID: "2", Data: "b"}, {Data: "c"}})
	if got, want := s.lastEventIDs(), []string{"1", "1", "2", "-"}; !slices.Equal(got, want) {
		t.Errorf("got Last-Event-IDs %q, want %q", got, want)
	}

	// Another range begins from the start.
	_, err = collect(t, stream)
	wantErr(t, err, client.ErrStopped)
	if got, want := s.lastEventIDs()[4:], []string{"1"}; !slices.Equal(got, want) {
		t.Errorf("second range: got Last-Event-IDs %q, want %q", got, want)
	}
}

func TestBodyIsSentAgain(t *testing.T) {
	s := serve(t, ok+frames(1, 1), "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "", ok+frames(2, 2))
	own := strings.NewReader("the question")
	req := request(t, http.MethodPost, s.url, own)
	got, err := collect(t, client.Stream(req, soon()))
	wantErr(t, err, client.ErrStopped)
	ssetest.Equal(t, got, numbered(1, 2))
	if want := slices.Repeat([]string{"the question"}, 5); !slices.Equal(s.bodies, want) {
		t.Errorf("got bodies %q, want %q", s.bodies, want)
	}
	for _, r := range s.seen() {
		if r.Method != http.MethodPost || r.ContentLength != 12 {
			t.Errorf("got a %s of %d bytes, want a POST of 12", r.Method, r.ContentLength)
		}
	}
	if own.Len() != 12 {
		t.Error("the caller's body was read")
	}
}

func TestRedirects(t *testing.T) {
	for _, tt := range []struct {
		status int
		method string // after the redirect of a POST
	}{{301, "GET"}, {302, "GET"}, {303, "GET"}, {307, "POST"}, {308, "POST"}} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(fmt.Sprint(tt.status, method), func(t *testing.T) {
				ssetest.NoLeaks(t)
				var got []string
				url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					got = append(got, fmt.Sprintf("%s %s %s %q", r.Method, r.URL.Path, r.Header.Get("Last-Event-ID"), body))
					switch {
					case len(got) > 4:
						w.WriteHeader(http.StatusNoContent)
					case r.URL.Path == "/old":
						http.Redirect(w, r, "/new", tt.status)
					default:
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, frames(len(got), len(got)))
					}
				}))
				var body io.Reader
				sent, after := `""`, tt.method
				if method == http.MethodPost {
					body, sent = strings.NewReader("question"), `"question"`
				} else {
					after = http.MethodGet
				}
				sentAfter := sent
				if after == http.MethodGet {
					sentAfter = `""`
				}
				events, err := collect(t, client.Stream(request(t, method, url+"/old", body), soon(), client.WithLastEventID("7")))
				wantErr(t, err, client.ErrStopped)
				ssetest.Equal(t, events, []core.Event{numbered(2, 2)[0], numbered(4, 4)[0]})
				want := []string{
					method + " /old 7 " + sent, after + " /new 7 " + sentAfter,
					method + " /old 2 " + sent, after + " /new 2 " + sentAfter,
					method + " /old 4 " + sent,
				}
				if !slices.Equal(got, want) {
					t.Errorf("got requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

// The client's own redirect policy and cookie jar.
func TestHTTPClient(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(own.CloseIdleConnections)
	s := serve(t,
		strings.Replace(ok, "\r\n\r\n", "\r\nSet-Cookie: session=5\r\n\r\n", 1)+frames(1, 1),
		"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
	_, err = collect(t, client.Stream(get(t, s.url), soon(), client.WithHTTPClient(own)))
	wantErr(t, err, client.ErrStatus)
	if got, want := s.seen()[1].Header.Get("Cookie"), "session=5"; got != want {
		t.Errorf("got cookie %q, want %q", got, want)
	}
}

// The stream leaves the program's other connections alone.
func TestDefaultTransportIsLeftAlone(t *testing.T) {
	url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	reused := false
	other := func() {
		ctx := httptrace.WithClientTrace(within(t), &httptrace.ClientTrace{
			GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused },
		})
		res, err := http.DefaultClient.Do(get(t, url).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	other()
	_, err := collect(t, client.Stream(get(t, url)))
	wantErr(t, err, client.ErrStopped)
	if other(); !reused {
		t.Error("got a new connection, want the one from before the stream")
	}
}

func TestBadRequests(t *testing.T) {
	with := func(change func(*http.Request)) *http.Request {
		req := request(t, http.MethodPost, "http://127.0.0.1:1/", nil)
		change(req)
		return req
	}
	header := func(name, value string) *http.Request {
		return with(func(r *http.Request) { r.Header[name] = []string{value} })
	}
	broken := errors.New("the file is gone")
	tests := []struct {
		name string
		req  *http.Request
		opts []client.Option
		want string
	}{
		{"nil", nil, nil, "the request is nil"},
		{"zero", &http.Request{}, nil, `URL is ""`},
		{"no scheme", with(func(r *http.Request) { r.URL = &url.URL{Path: "example.com/x"} }), nil, `URL is "example.com/x": it needs a scheme`},
		{"no host", with(func(r *http.Request) { r.URL.Host = "" }), nil, "and a host"},
		{"another scheme", with(func(r *http.Request) { r.URL.Scheme = "htp" }), nil, `"htp://127.0.0.1:1/"`},
		{"a password", with(func(r *http.Request) { r.URL.Scheme, r.URL.User = "ftp", url.UserPassword("a", "secret") }), nil, `a:xxxxx@`},
		{"a server's request", with(func(r *http.Request) { r.RequestURI = "/" }), nil, "RequestURI"},
		{"a body that cannot be sent again", with(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }), nil, "set GetBody"},
		{"a GetBody that fails", with(func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("x"))
			r.GetBody = func() (io.ReadCloser, error) { return nil, broken }
		}), nil, "GetBody: the file is gone"},
		{"an ID of two lines", with(func(*http.Request) {}), []client.Option{client.WithLastEventID("1\r\nX-Evil: 1")}, `"1\r\nX-Evil: 1"`},
		{"an ID with DEL", with(func(*http.Request) {}), []client.Option{client.WithLastEventID("1\x7F")}, `"1\x7f"`},
		{"a token from a file", header("Authorization", "Bearer secret\n"), nil, `the value of the request's header "Authorization" contains control characters`},
		{"a value with a NUL", header("X-A", "secret\x00"), nil, `header "X-A"`},
		{"a value with DEL", header("X-A", "secret\x7F"), nil, `header "X-A"`},
		{"a second value", with(func(r *http.Request) { r.Header = http.Header{"X-A": {"1", "secret\r"}} }), nil, `header "X-A"`},
		{"the ID's header", header("Last-Event-Id", "secret\n"), nil, `header "Last-Event-Id"`},
		{"a trailer", with(func(r *http.Request) { r.Trailer = http.Header{"X-A": {"secret\n"}} }), nil, `trailer "X-A"`},
		{"a header without a name", header("", "secret"), nil, `header name ""`},
		{"a header name with a space", header("X A", "secret"), nil, `header name "X A"`},
		{"a header name with a colon", header("X-A:", "secret"), nil, `header name "X-A:"`},
		{"a header name that is not ASCII", header("X-\u00E9", "secret"), nil, "header name \"X-\u00E9\""},
		{"a trailer name", with(func(r *http.Request) { r.Trailer = http.Header{"X A": nil} }), nil, `trailer name "X A"`},
		{"a method of two words", with(func(r *http.Request) { r.Method = "GET IT" }), nil, `method "GET IT"`},
		{"a method with a line end", with(func(r *http.Request) { r.Method = "POST\n" }), nil, `method "POST\n"`},
		{"a query with a line end", with(func(r *http.Request) { r.URL.RawQuery = "token=secret\n" }), nil, "URL contains control characters"},
		{"a query with a tab", with(func(r *http.Request) { r.URL.RawQuery = "token=secret\t" }), nil, "URL contains control characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			events, err := collect(t, client.Stream(tt.req, append(tt.opts, once())...))
			ssetest.Equal(t, events, nil)
			if !strings.HasPrefix(err.Error(), "client: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one of client that says %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("got error %v, which shows a secret", err)
			}
		})
	}
}

// An unusual request is sent if it is legal.
func TestStrangeRequests(t *testing.T) {
	s := serve(t)
	req := request(t, "M-SEARCH", s.url, nil)
	for name, value := range map[string]string{"X-Tab": "a\tb", "X-Latin": "\xE9", "X-Empty": "", "X!#$%&'*+.^_`|~9": "~"} {
		req.Header[name] = []string{value}
	}
	_, err := collect(t, client.Stream(req))
	if !errors.Is(err, client.ErrStopped) {
		t.Fatalf("got error %v, want %v", err, client.ErrStopped)
	}
	got := s.seen()[0]
	if got.Method != "M-SEARCH" || got.Header.Get("X-Tab") != "a\tb" || got.Header.Get("X-Latin") != "\xE9" {
		t.Errorf("got %s with %q, want the request's own", got.Method, got.Header)
	}

	_, err = collect(t, client.Stream((&http.Request{URL: req.URL}).WithContext(t.Context())))
	if !errors.Is(err, client.ErrStopped) {
		t.Fatalf("without a method: got error %v, want %v", err, client.ErrStopped)
	}
	if got := s.seen()[1].Method; got != http.MethodGet {
		t.Errorf("got method %q for none, want GET", got)
	}
}

// http.NoBody means that there is no body, whatever GetBody is.
func TestNoBody(t *testing.T) {
	s := serve(t)
	req := get(t, s.url)
	req.Body = http.NoBody
	_, err := collect(t, client.Stream(req))
	wantErr(t, err, client.ErrStopped)
}

// The context's values reach each request, for example a trace.
func TestContextValues(t *testing.T) {
	s := serve(t)
	traced := false
	trace := httptrace.WithClientTrace(within(t), &httptrace.ClientTrace{
		GotFirstResponseByte: func() { traced = true },
	})
	_, err := collect(t, client.Stream(get(t, s.url).WithContext(trace)))
	wantErr(t, err, client.ErrStopped)
	if !traced {
		t.Error("got no trace of the request")
	}
}
