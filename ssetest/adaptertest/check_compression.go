package adaptertest

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// get gets the whole response to a request that accepts these encodings. Its body is as it was
// sent, and err says how it ended.
func (s *server) get(path string, accept ...string) (res *http.Response, body string, err error) {
	s.t.Helper()
	return s.ask(http.MethodGet, path, accept...)
}

func (s *server) ask(method, path string, accept ...string) (res *http.Response, body string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.host.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header["Accept-Encoding"] = accept // otherwise the transport asks for gzip, and hides it
	res, err = s.client.Do(r)
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

func unzip(body string) (string, error) {
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		return "", err //nolint:wrapcheck // the caller shows it
	}
	text, err := io.ReadAll(r)
	return string(text), err //nolint:wrapcheck // likewise
}

func checkCompression(t testing.TB, h mounted) {
	s := h.serve(t, map[string]View{
		"/works": works,
		"/own": func(_ context.Context, x Exchange) core.Stream {
			x.SetHeader("Content-Encoding", "x-own")
			return give(core.Event{Data: "yes"})
		},
		"/tag": func(_ context.Context, x Exchange) core.Stream {
			x.SetHeader("Etag", `"1"`)
			return give(core.Event{Data: "yes"})
		},
		"/vary": func(_ context.Context, x Exchange) core.Stream {
			x.SetHeader("Vary", "Origin")
			return give(core.Event{Data: "yes"})
		},
	}, core.WithCompression())
	const want = "data: yes\n\n"
	for _, test := range []struct {
		name, path string
		accept     []string
		encoding   string
		vary       []string
		tag        string
	}{
		{"gzip", "/works", []string{"gzip"}, "gzip", []string{"Accept-Encoding"}, ""},
		{"gzip in a second line", "/works", []string{"br", "gzip;q=0.5"}, "gzip", []string{"Accept-Encoding"}, ""},
		{"only br", "/works", []string{"br"}, "", []string{"Accept-Encoding"}, ""},
		{"not gzip", "/works", []string{"gzip;q=0, *"}, "", []string{"Accept-Encoding"}, ""},
		{"another Vary", "/vary", []string{"gzip"}, "gzip", []string{"Origin", "Accept-Encoding"}, ""},
		{"a Content-Encoding of the view's", "/own", []string{"gzip"}, "x-own", nil, ""},
		{"an entity tag", "/tag", []string{"gzip"}, "gzip", []string{"Accept-Encoding"}, `W/"1"`},
		{"an entity tag, not gzip", "/tag", []string{"br"}, "", []string{"Accept-Encoding"}, `"1"`},
	} {
		res, body, err := s.get(test.path, test.accept...)
		if got := res.Header["Content-Encoding"]; strings.Join(got, ",") != test.encoding || len(got) > 1 {
			t.Errorf("%s: got Content-Encoding %q, want %q once", test.name, got, test.encoding)
			continue
		}
		var vary []string
		for _, line := range res.Header["Vary"] {
			vary = append(vary, strings.Split(line, ", ")...)
		}
		if !slices.Equal(vary, test.vary) {
			t.Errorf("%s: got Vary %q, want %q", test.name, res.Header["Vary"], test.vary)
		}
		if tag := res.Header.Get("ETag"); tag != test.tag {
			t.Errorf("%s: got ETag %s, want %s", test.name, tag, test.tag)
		}
		size := len(body)
		if test.encoding == "gzip" && err == nil {
			body, err = unzip(body)
		}
		if err != nil || !strings.HasPrefix(body, ": ") || !strings.HasSuffix(body, want) {
			t.Errorf("%s: got body %q and %v, want a comment and %q", test.name, body, err, want)
		}
		if end := s.end(); end.Bytes != int64(size) {
			t.Errorf("%s: the observer was told of %d bytes, want those of the body, %d", test.name, end.Bytes, size)
		}
	}
	res, body, err := s.ask(http.MethodHead, "/works", "gzip")
	got := [3]string{res.Header.Get("Content-Encoding"), res.Header.Get("Vary"), body}
	if want := [3]string{"gzip", "Accept-Encoding", ""}; got != want || err != nil {
		t.Errorf("HEAD: got Content-Encoding, Vary and body %q and %v, want %q", got, err, want)
	}
}

// The transport asks for gzip, and decodes what has come.
func checkEachCompressedEvent(t testing.TB, h mounted) {
	goAhead := make(chan struct{})
	s := h.serve(t, map[string]View{"/": steps(goAhead)}, core.WithCompression())
	s.follow(s.open("/"), goAhead, 1, 20)
}

// The response breaks for a client that does not decode it, too.
func checkCompressedFailure(t testing.TB, h mounted) {
	if h.protocol.overtakes() {
		t.Skip("the break may be all that the client sees")
	}
	s := h.serve(t, failing(nil), core.WithCompression())
	for _, f := range failures {
		_, body, err := s.get("/"+f.name, "gzip")
		if err == nil {
			t.Errorf("%s: the response ended cleanly, want a broken one", f.name)
		}
		got, err := unzip(body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasSuffix(got, "id: 3\ndata: \n\n") {
			t.Errorf("%s: the compressed stream decodes to %q and ends with %v, want %v", f.name, got, err, io.ErrUnexpectedEOF)
		}
		s.end()
		s.works()
	}
	for range 3 {
		ssetest.Equal(t, s.open("/works").All(), []core.Event{{Data: "yes"}})
		s.end()
	}
}
