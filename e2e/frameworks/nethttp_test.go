package frameworks_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"golang.org/x/net/http2"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

const patience = time.Minute

// streams has a complete stream at "/whole", and some that fail.
func streams() http.Handler {
	fail := errors.New("no more")
	mux := http.NewServeMux()
	for path, end := range map[string]func(yield func(core.Event, error) bool){
		"/whole": func(func(core.Event, error) bool) {},
		"/error": func(yield func(core.Event, error) bool) { yield(core.Event{}, fail) },
		"/panic": func(func(core.Event, error) bool) { panic(fail) },
		"/leave": func(func(core.Event, error) bool) { runtime.Goexit() },
	} {
		mux.Handle(path, nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
			return func(yield func(core.Event, error) bool) {
				if yield(core.Event{Data: "before"}, nil) {
					end(yield)
				}
			}
		}))
	}
	return mux
}

// get requests url and returns the response and its end.
func get(t *testing.T, client *http.Client, url string) (status int, body string, end error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%s: no end within %v", url, patience)
	}
	return res.StatusCode, string(text), err
}

// wantTruth requests the streams and wants those that fail, and only those, to be
// broken off.
func wantTruth(t *testing.T, client *http.Client, url string) {
	t.Helper()
	const want = ": open\n\ndata: before\n\n"
	for _, path := range []string{"/whole", "/error", "/panic", "/leave", "/whole"} {
		status, body, err := get(t, client, url+path)
		if status != http.StatusOK || body != want || (err == nil) != (path == "/whole") {
			t.Errorf("%s: got status %d, %q and the end %v", path, status, body, err)
		}
	}
}

// wantRefusals requests the streams and wants each to be refused, with text in the
// answer.
func wantRefusals(t *testing.T, client *http.Client, url, text string) {
	t.Helper()
	for _, path := range []string{"/whole", "/error", "/panic"} {
		status, body, err := get(t, client, url+path)
		if status != http.StatusInternalServerError || !strings.Contains(body, text) || err != nil {
			t.Errorf("%s: got status %d, %q and the end %v, want 500 and %q", path, status, body, err, text)
		}
	}
}

// TestHTTP2 uses the HTTP/2 server of golang.org/x/net.
func TestHTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(streams())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if err := http2.ConfigureServer(srv.Config, new(http2.Server)); err != nil { //nolint:staticcheck // deprecated, and in use
		t.Fatal(err)
	}
	srv.TLS = srv.Config.TLSConfig
	srv.EnableHTTP2 = true // in its client
	srv.StartTLS()
	defer srv.Close()
	wantTruth(t, srv.Client(), srv.URL)
}

// An http.Handler under fiber's adaptor has a writer that keeps the whole response.
func TestFiberAdaptor(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	handler := streams()
	app.Use(adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// fasthttp reuses its contexts while others still use them.
		handler.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Run(t, ln, app.Listener, app.ShutdownWithContext)
	wantRefusals(t, http.DefaultClient, "http://"+ln.Addr().String(), "nethttpsse: a *fasthttpadaptor.")
}
