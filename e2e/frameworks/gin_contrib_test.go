package frameworks_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-contrib/cors"
	contribgzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

// The middlewares that most programs on gin have are modules of their own, and so
// are tried here.
func TestGinContrib(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	steps := make(chan struct{}, 2)
	r := gin.New()
	r.Use(cors.Default(), contribgzip.Gzip(contribgzip.DefaultCompression))
	r.GET("/steps", ginsse.Handler(func(c *gin.Context) core.Stream {
		ctx := c.Request.Context()
		return func(yield func(core.Event, error) bool) {
			for range core.Receive(ctx, steps) {
				if !yield(core.Event{Data: "step"}, nil) {
					return
				}
			}
		}
	}))
	r.GET("/fail", ginsse.Handler(func(*gin.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "before"}, nil) {
				yield(core.Event{}, errors.New("no more"))
			}
		}
	}))
	srv := httptest.NewServer(r)
	defer srv.Close()
	get := func(ctx context.Context, path string) (*http.Response, io.Reader) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "http://example.com")
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := res.Header.Get("Content-Encoding"), "gzip"; got != want {
			t.Errorf("%s: got content encoding %q, want %q", path, got, want)
		}
		if got, want := res.Header.Get("Access-Control-Allow-Origin"), "*"; got != want {
			t.Errorf("%s: got allowed origin %q, want %q", path, got, want)
		}
		zip, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, zip
	}

	// Each event comes, through the compressor, before the next one is made.
	res, body := get(t.Context(), "/steps")
	steps <- struct{}{}
	n := 0
	for e, err := range core.Read(body) {
		if err != nil {
			t.Fatal(err)
		}
		if got, want := e.Data, "step"; got != want {
			t.Errorf("got data %q, want %q", got, want)
		}
		if n++; n == 3 {
			close(steps)
			break
		}
		steps <- struct{}{}
	}
	if rest, err := io.ReadAll(body); err != nil || len(rest) != 0 {
		t.Errorf("got %q, %v, want a clean end", rest, err)
	}
	_ = res.Body.Close()

	res, body = get(t.Context(), "/fail")
	got, err := io.ReadAll(body)
	if want := ": open\n\ndata: before\n\n"; string(got) != want || err == nil {
		t.Errorf("got %q, %v, want %q and a broken end", got, err, want)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}
