package inspect_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/labstack/echo/v4"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/inspect"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A site has a stream at /stream that says hello and waits, and a handler at /ops/inspect.
type site struct {
	url    string
	closed chan core.Summary
}

func newSite(t *testing.T, detach bool) *site {
	t.Helper()
	s := &site{closed: make(chan core.Summary, 10)}
	var g core.Group
	opts := []core.Option{core.WithGroup(&g), core.WithObserver(core.Observer{
		Closed: func(_ context.Context, sum core.Summary) { s.closed <- sum },
	})}
	if detach {
		opts = append(opts, core.WithDetach())
	}
	mux := http.NewServeMux()
	mux.Handle("/stream", nethttpsse.Handler(hello, opts...))
	mux.Handle("/ops/inspect", &inspect.Handler{Authorize: anybody, Groups: map[string]*core.Group{"g": &g}})
	s.url = hosttest.Serve(t, mux)
	return s
}

func hello(_ http.ResponseWriter, r *http.Request) core.Stream {
	ctx := r.Context()
	return func(yield func(core.Event, error) bool) {
		if yield(core.Event{Data: "hello"}, nil) {
			<-ctx.Done()
		}
	}
}

// open opens the stream and reads its event. rest reads the remaining ones.
func (s *site) open(t *testing.T) (rest func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	began := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for _, err := range core.Read(res.Body) {
			if err != nil {
				done <- err
				return
			}
			close(began)
		}
		done <- nil
	}()
	hosttest.Receive(t, began, "the first event")
	return func() error { return hosttest.Receive(t, done, "the end") }
}

func (s *site) get(t *testing.T, accept string) hosttest.Answer {
	t.Helper()
	return hosttest.Get(t, s.url+"/ops/inspect", "Accept", accept)
}

// end asks the handler to end a session, and returns the status.
func (s *site) end(t *testing.T, id uint64) int {
	t.Helper()
	return post(t, s.url+"/ops/inspect", id)
}

func post(t *testing.T, url string, id uint64) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(form(id)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return hosttest.Do(t, req).Status
}

// The handler works on each framework, below any path. fiber's adaptor cannot pass the live
// view on, and refuses it, so that the page asks for the JSON.
func TestFrameworks(t *testing.T) {
	quiet := func(srv *http.Server) { srv.ErrorLog = log.New(io.Discard, "", 0) }
	for name, mount := range map[string]func(t *testing.T, h http.Handler) (url string){
		"net/http": func(t *testing.T, h http.Handler) string {
			t.Helper()
			mux := http.NewServeMux()
			mux.Handle("/ops/inspect", h)
			return hosttest.Serve(t, mux, quiet)
		},
		"gin": func(t *testing.T, h http.Handler) string {
			t.Helper()
			gin.SetMode(gin.ReleaseMode)
			r := gin.New()
			r.Group("/ops").Any("/inspect", gin.WrapH(h))
			return hosttest.Serve(t, r, quiet)
		},
		"echo": func(t *testing.T, h http.Handler) string {
			t.Helper()
			e := echo.New()
			e.Group("/ops").Any("/inspect", echo.WrapHandler(h))
			return hosttest.Serve(t, e, quiet)
		},
		"fiber": func(t *testing.T, h http.Handler) string {
			t.Helper()
			app := fiber.New(fiber.Config{DisableStartupMessage: true})
			app.Group("/ops").All("/inspect", adaptor.HTTPHandler(h))
			ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
			if err != nil {
				t.Fatal(err)
			}
			hosttest.Run(t, ln, app.Listener, app.ShutdownWithContext)
			return "http://" + ln.Addr().String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var g core.Group
			enter(t, &g, core.Request{Path: "/x"})
			h := &inspect.Handler{Authorize: anybody, Groups: map[string]*core.Group{"g": &g}}
			id := reportOf(t, h, "").Sessions.Rows[0].ID
			url := mount(t, h) + "/ops/inspect"
			for accept, want := range map[string]string{"text/html": "<!doctype html>", "*/*": `"total":1`} {
				if a := hosttest.Get(t, url, "Accept", accept); a.Status != 200 || !strings.Contains(a.Body, want) || a.Broken {
					t.Errorf("%s: got %d %.100q, want 200 and %q", accept, a.Status, a.Body, want)
				}
			}
			status, event := live(t, url)
			if name == "fiber" {
				if status == 200 {
					t.Errorf("live: got %d %.100q, want a refusal", status, event)
				}
			} else if status != 200 || !strings.Contains(event, `"total":1`) {
				t.Errorf("live: got %d %.100q, want an event with a session", status, event)
			}
			if got := post(t, url, id); got != 204 {
				t.Errorf("ending a session: got %d, want 204", got)
			}
		})
	}
}

// live returns the first event of the live view.
func live(t *testing.T, url string) (status int, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?q=x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for e, err := range core.Read(res.Body) {
		if err == nil {
			data = e.Data
		}
		break
	}
	return res.StatusCode, data
}
