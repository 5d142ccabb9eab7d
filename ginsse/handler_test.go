package ginsse_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

const twoEvents = ": open\n\ndata: one\n\ndata: two\n\n"

func view(*gin.Context) core.Stream { return hosttest.Events("one", "two") }

// engine returns gin with middlewares, without its debug output.
func engine(middlewares ...gin.HandlerFunc) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(middlewares...)
	return r
}

// An embedding is like the writers of most middlewares for gin: it hides Unwrap.
type embedding struct{ gin.ResponseWriter }

// A gatherer keeps the body and writes it at the end.
type gatherer struct {
	gin.ResponseWriter
	body *bytes.Buffer
}

func (g gatherer) Write(p []byte) (int, error) { return g.body.Write(p) }

// An apart keeps headers and body, like the writer of a timeout middleware.
type apart struct {
	gatherer
	header http.Header
}

func (a apart) Header() http.Header { return a.header }

func wrap(with func(gin.ResponseWriter) gin.ResponseWriter) gin.HandlerFunc {
	return func(c *gin.Context) {
		w := c.Writer
		c.Writer = with(w)
		c.Next()
		c.Writer = w
	}
}

func TestMiddleware(t *testing.T) {
	logged := hosttest.NewLog()
	tests := []struct {
		name       string
		middleware gin.HandlerFunc
		want       hosttest.Answer
	}{
		{"Logger", gin.LoggerWithWriter(logged), hosttest.Answer{Status: 200, Body: twoEvents}},
		{"Recovery", gin.RecoveryWithWriter(io.Discard), hosttest.Answer{Status: 200, Body: twoEvents}},
		{
			"a writer that embeds gin's",
			wrap(func(w gin.ResponseWriter) gin.ResponseWriter { return &embedding{w} }),
			hosttest.Answer{Status: 200, Body: twoEvents},
		},
		{
			"a writer in a writer",
			wrap(func(w gin.ResponseWriter) gin.ResponseWriter { return embedding{&embedding{w}} }),
			hosttest.Answer{Status: 200, Body: twoEvents},
		},
		{
			"a writer that gathers the body",
			wrap(func(w gin.ResponseWriter) gin.ResponseWriter { return gatherer{w, new(bytes.Buffer)} }),
			hosttest.Answer{Status: 200, Broken: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := engine(tt.middleware)
			r.GET("/", ginsse.Handler(view))
			got := hosttest.Get(t, hosttest.Serve(t, r))
			got.Header = nil
			if got.Status != tt.want.Status || got.Body != tt.want.Body || got.Broken != tt.want.Broken {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if got, want := <-logged, "200"; !strings.Contains(got, want) {
		t.Errorf("got log %q, want status %s", got, want)
	}
}

// The answer names the writer that holds the stream back, or gin's errors do if the
// response has begun.
func TestHeldBack(t *testing.T) {
	t.Run("headers", func(t *testing.T) {
		r := engine(func(c *gin.Context) {
			w := c.Writer
			held := apart{gatherer{w, new(bytes.Buffer)}, http.Header{}}
			c.Writer = held
			c.Next()
			w.WriteHeader(c.Writer.Status())
			_, _ = w.Write(held.body.Bytes())
		})
		r.GET("/", ginsse.Handler(view))
		got := hosttest.Get(t, hosttest.Serve(t, r))
		if want := "a ginsse_test.apart holds the headers back"; got.Status != 500 || !strings.Contains(got.Body, want) {
			t.Errorf("got %d %q, want 500 %q", got.Status, got.Body, want)
		}
		if got := got.Header.Get("Content-Type"); strings.Contains(got, "event-stream") {
			t.Errorf("got content type %q of a refusal", got)
		}
	})
	t.Run("body", func(t *testing.T) {
		errs := make(chan string, 1)
		r := engine(func(c *gin.Context) {
			c.Next()
			errs <- c.Errors.String()
		}, wrap(func(w gin.ResponseWriter) gin.ResponseWriter { return gatherer{w, new(bytes.Buffer)} }))
		r.GET("/", ginsse.Handler(view))
		hosttest.Get(t, hosttest.Serve(t, r))
		if got, want := <-errs, "a ginsse_test.gatherer holds the stream back"; !strings.Contains(got, want) {
			t.Errorf("got c.Errors %q, want %q", got, want)
		}
	})
}

// A tutorial is the compressing writer of many tutorials, which is never flushed. It
// sends the first bytes of its format at once.
type tutorial struct {
	gin.ResponseWriter
	zip *gzip.Writer
}

func (t *tutorial) Write(p []byte) (int, error) { return t.zip.Write(p) }

// Bytes that a middleware adds are not mistaken for the stream's.
func TestCompressorIsNotFlushed(t *testing.T) {
	errs := make(chan string, 1)
	r := engine(func(c *gin.Context) {
		c.Next()
		errs <- c.Errors.String()
	}, func(c *gin.Context) {
		c.Header("Content-Encoding", "gzip")
		zip := gzip.NewWriter(c.Writer)
		defer zip.Close() //nolint:errcheck // the client sees
		c.Writer = &tutorial{c.Writer, zip}
		c.Next()
	})
	r.GET("/", ginsse.Handler(view))
	if got := hosttest.Get(t, hosttest.Serve(t, r)); !got.Broken {
		t.Errorf("got %d %q and a clean end, want a broken one", got.Status, got.Body)
	}
	if got, want := <-errs, "a *ginsse_test.tutorial holds the stream back"; !strings.Contains(got, want) {
		t.Errorf("got c.Errors %q, want %q", got, want)
	}
}

// A deadline still reaches the connection through writers that hide it.
func TestFailureBehindAMiddleware(t *testing.T) {
	r := engine(gin.RecoveryWithWriter(io.Discard), wrap(func(w gin.ResponseWriter) gin.ResponseWriter { return &embedding{w} }))
	r.GET("/", ginsse.Handler(func(*gin.Context) core.Stream { return hosttest.Fail(errors.New("no more")) }))
	got := hosttest.Get(t, hosttest.Serve(t, r))
	if want := ": open\n\ndata: before\n\n"; got.Body != want || !got.Broken {
		t.Errorf("got %q, broken %t, want %q, broken", got.Body, got.Broken, want)
	}
}

// Recovery ends the response cleanly after a panic in the stream. The client must still
// see a broken response.
func TestPanicUnderRecovery(t *testing.T) {
	r := engine(gin.RecoveryWithWriter(io.Discard))
	r.GET("/", ginsse.Handler(func(*gin.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "before"}, nil)
			panic("lost")
		}
	}))
	got := hosttest.Get(t, hosttest.Serve(t, r))
	if want := ": open\n\ndata: before\n\n"; got.Body != want || !got.Broken {
		t.Errorf("got %q, broken %t, want %q, broken", got.Body, got.Broken, want)
	}
}

// Text that a handler appends to a failed stream does not reach the client.
func TestJSONAfterAFailure(t *testing.T) {
	r := engine(func(c *gin.Context) {
		c.Next()
		c.JSON(http.StatusInternalServerError, gin.H{"error": c.Errors.Last().Error()})
	})
	r.GET("/", ginsse.Handler(func(*gin.Context) core.Stream { return hosttest.Fail(errors.New("secret")) }))
	got := hosttest.Get(t, hosttest.Serve(t, r))
	if strings.Contains(got.Body, "secret") || !got.Broken {
		t.Errorf("got %q, broken %t, want no trace of the error", got.Body, got.Broken)
	}
}

func TestRequestIsPutBack(t *testing.T) {
	same := make(chan bool, 1)
	r := engine(func(c *gin.Context) {
		before := c.Request
		c.Next()
		same <- c.Request == before
	})
	r.GET("/", ginsse.Handler(view))
	hosttest.Get(t, hosttest.Serve(t, r))
	if !<-same {
		t.Error("got another c.Request after the stream than before")
	}
}

func TestCalledInPlace(t *testing.T) {
	r := engine()
	r.GET("/:word", func(c *gin.Context) {
		word := c.Param("word")
		ginsse.Handler(func(*gin.Context) core.Stream { return hosttest.Events(word) }, core.WithRetry(time.Second))(c)
	})
	got := hosttest.Get(t, hosttest.Serve(t, r)+"/hello")
	if want := "retry: 1000\n: open\ndata: hello\n\n"; got.Body != want {
		t.Errorf("got %q, want %q", got.Body, want)
	}
}

// With UseH2C, the server's Shutdown does not wait for streams, but they end.
func TestShutdownOfUseH2C(t *testing.T) {
	r := engine()
	r.UseH2C = true
	causes := make(chan error, 1)
	r.GET("/", ginsse.Handler(func(c *gin.Context) core.Stream {
		ctx := c.Request.Context()
		return func(func(core.Event, error) bool) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
		}
	}))
	var server *http.Server
	url := hosttest.Serve(t, r.Handler(), func(srv *http.Server) { server = srv })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Fatalf("got %s, want HTTP/2", res.Proto)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), "retry: ") {
		t.Errorf("got %q, %v, want a clean end with a retry", body, err)
	}
	if got, want := <-causes, core.ErrShutdown; !errors.Is(got, want) {
		t.Errorf("got cause %v, want %v", got, want)
	}
}

// Nothing can be appended to a stream, however it ended. gin's own ErrorLogger would
// append the error's text.
func TestErrorLoggerAppendsNothing(t *testing.T) {
	r := engine(gin.ErrorLogger())
	r.GET("/", ginsse.Handler(func(*gin.Context) core.Stream { return hosttest.Fail(errors.New("secret")) },
		core.WithErrorEvent(func(error) core.Event { return core.Event{Type: "failed"} })))
	got := hosttest.Get(t, hosttest.Serve(t, r))
	if want := ": open\n\ndata: before\n\nevent: failed\ndata: \n\n"; got.Body != want || got.Broken {
		t.Errorf("got %q, broken %t, want %q", got.Body, got.Broken, want)
	}
}

// A stream that fails with the refusal of another server is not answered as if it had
// been refused itself.
func TestFailureWithARefusal(t *testing.T) {
	type outcome struct {
		status  int
		aborted bool
		errs    []error
	}
	outcomes := make(chan outcome, 1)
	r := engine(func(c *gin.Context) {
		c.Next()
		o := outcome{c.Writer.Status(), c.IsAborted(), nil}
		for _, err := range c.Errors {
			o.errs = append(o.errs, err)
		}
		outcomes <- o
	})
	refused := &core.RefusedError{Status: http.StatusServiceUnavailable, Err: errors.New("another server is busy")}
	r.GET("/", ginsse.Handler(func(*gin.Context) core.Stream { return hosttest.Fail(refused) }))
	if got := hosttest.Get(t, hosttest.Serve(t, r)); !got.Broken {
		t.Errorf("got %+v, want a broken response", got)
	}
	got := <-outcomes
	if got.status != http.StatusOK || got.aborted {
		t.Errorf("got status %d, aborted %t, want 200, not aborted", got.status, got.aborted)
	}
	if failed := new(core.StreamError); len(got.errs) != 1 || !errors.As(got.errs[0], &failed) {
		t.Errorf("got c.Errors %v, want one *core.StreamError", got.errs)
	}
}

// A view that has answered must not return a stream.
func TestAnswerAndStream(t *testing.T) {
	errs := make(chan string, 1)
	r := engine(func(c *gin.Context) {
		c.Next()
		errs <- c.Errors.String()
	})
	r.GET("/", ginsse.Handler(func(c *gin.Context) core.Stream {
		c.String(http.StatusForbidden, "no")
		return hosttest.Events("never")
	}))
	got := hosttest.Get(t, hosttest.Serve(t, r))
	if got.Status != http.StatusForbidden || got.Body != "no" {
		t.Errorf("got %d %q, want 403 %q", got.Status, got.Body, "no")
	}
	if got, want := <-errs, "also returned a stream"; !strings.Contains(got, want) {
		t.Errorf("got c.Errors %q, want %q", got, want)
	}
}

// The request of a session has the router's pattern.
func TestRoute(t *testing.T) {
	app := engine()
	app.Group("/rooms").GET("/:id", ginsse.Handler(func(c *gin.Context) core.Stream { return requestOf(c.Request.Context()) }))
	if got, want := hosttest.Get(t, hosttest.Serve(t, app)+"/rooms/a%20b?x=1").Body, ": open\n\ndata: GET /rooms/a b of /rooms/:id\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func requestOf(ctx context.Context) core.Stream {
	r := core.RequestOf(ctx)
	return hosttest.Events(r.Method + " " + r.Path + " of " + r.Route)
}

// A middleware that logs the errors of requests writes one line for a stream that fails,
// whatever a client has put into its error.
func TestFailureIsOneLine(t *testing.T) {
	book := new(hosttest.Logbook)
	r := engine(gin.LoggerWithWriter(book))
	r.GET("/", ginsse.Handler(func(*gin.Context) core.Stream { return hosttest.Forging() }))
	_ = hosttest.Get(t, hosttest.Serve(t, r))
	book.Forged(t)
}
