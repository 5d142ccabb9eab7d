package frameworks_test

import (
	"bytes"
	"context"
	"crypto/tls"
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
	"github.com/yieldsse/yieldsse/nethttpsse"
)

const patience = time.Minute

// streams has a complete stream at "/whole", and some that fail. Each ends only when the
// client has read its event, so that no reset can overtake the event.
func streams(read <-chan struct{}) http.Handler {
	fail := errors.New("no more")
	mux := http.NewServeMux()
	for path, end := range map[string]func(yield func(core.Event, error) bool){
		"/whole": func(func(core.Event, error) bool) {},
		"/error": func(yield func(core.Event, error) bool) { yield(core.Event{}, fail) },
		"/panic": func(func(core.Event, error) bool) { panic(fail) },
		"/leave": func(func(core.Event, error) bool) { runtime.Goexit() },
	} {
		mux.Handle(path, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			ctx := r.Context()
			return func(yield func(core.Event, error) bool) {
				if !yield(core.Event{Data: "before"}, nil) {
					return
				}
				for range core.Receive(ctx, read) {
					end(yield)
					return
				}
			}
		}))
	}
	return mux
}

const before = ": open\n\ndata: before\n\n"

// get requests url and returns the response and its end. It sends to read when it has
// read the first event.
func get(t *testing.T, client *http.Client, read chan<- struct{}, url string, header ...string) (status int, body string, end error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	_, err = io.CopyN(&b, res.Body, int64(len(before)))
	if err == nil && res.StatusCode == http.StatusOK {
		read <- struct{}{}
	}
	if err == nil {
		_, err = b.ReadFrom(res.Body)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%s: no end within %v", url, patience)
	}
	return res.StatusCode, b.String(), err
}

// wantTruth requests the streams and wants those that fail, and only those, to be
// broken off.
func wantTruth(t *testing.T, client *http.Client, read chan<- struct{}, url string, header ...string) {
	t.Helper()
	for _, path := range []string{"/whole", "/error", "/panic", "/leave", "/whole"} {
		status, body, err := get(t, client, read, url+path, header...)
		if status != http.StatusOK || body != before || (err == nil) != (path == "/whole") {
			t.Errorf("%s: got status %d, %q and the end %v", path, status, body, err)
		}
	}
}

// wantRefusals requests the streams and wants each to be refused, with text in the
// answer.
func wantRefusals(t *testing.T, client *http.Client, url, text string) {
	t.Helper()
	for _, path := range []string{"/whole", "/error", "/panic"} {
		status, body, err := get(t, client, nil, url+path)
		if status != http.StatusInternalServerError || !strings.Contains(body, text) || err != nil {
			t.Errorf("%s: got status %d, %q and the end %v, want 500 and %q", path, status, body, err, text)
		}
	}
}

// certified returns TLS configurations for a server and its client.
func certified(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	return srv.TLS.Clone(), srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

// TestHTTP2 uses the HTTP/2 server of golang.org/x/net.
func TestHTTP2(t *testing.T) {
	read := make(chan struct{}, 1)
	srv := httptest.NewUnstartedServer(streams(read))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if err := http2.ConfigureServer(srv.Config, new(http2.Server)); err != nil { //nolint:staticcheck // deprecated, and in use
		t.Fatal(err)
	}
	srv.TLS = srv.Config.TLSConfig
	srv.StartTLS()
	defer srv.Close()
	_, config := certified(t)
	config.NextProtos = []string{"h2"}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	wantTruth(t, &http.Client{Transport: transport}, read, srv.URL)
}

// An http.Handler under fiber's adaptor has a writer that keeps the whole response.
func TestFiberAdaptor(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	never := make(chan struct{})
	close(never) // a stream that begins nevertheless ends at once
	handler := streams(never)
	app.Use(adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// fasthttp reuses its contexts while others still use them.
		handler.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = app.Listener(ln) }()
	defer func() { _ = app.ShutdownWithTimeout(patience); <-served }()
	wantRefusals(t, http.DefaultClient, "http://"+ln.Addr().String(), "nethttpsse: a *fasthttpadaptor.")
}
