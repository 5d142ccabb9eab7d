package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	fiber3 "github.com/gofiber/fiber/v3"
	recover3 "github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/fiber3sse"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// hosts are the listeners of a server process, in the order of its file descriptors from 3
// on: the first without TLS and with HTTP/2, the second with TLS.
var hosts = []string{"net/http", "TLS", "gin", "echo", "echo v5", "fiber", "fiber v3"}

const (
	plainHost = 0
	tlsHost   = 1
)

var (
	plainHosts = []int{plainHost, 2, 3, 4, 5, 6} // those without TLS
	http2Hosts = []int{plainHost, 2, 3, 4}       // of these, those with HTTP/2
)

// The limits of a server are short, so that a soak sees each of them often.
const (
	heartbeat    = time.Second
	writeTimeout = 3 * time.Second
	headerTime   = 2 * time.Second
	retry        = 300 * time.Millisecond
	drainTime    = time.Second // over which the streams of a server that leaves end
	leaveTime    = time.Minute // for a server that leaves
	maxEvents    = 2_000       // of the hub, in its memory
	maxBytes     = 8 << 20
	poolSize     = 8 // connections to Redis
)

// These are set in a server's process.
const (
	envServer = "YIELDSSE_SOAK_SERVER"      // the address of its log, or "memory"
	envFiles  = "YIELDSSE_SOAK_FILES"       // how many files it may have open; empty means as many as this process
	patiently = "YIELDSSE_SOAK_PATIENTLY=1" // clients that do not read are not broken off
)

// A server is the process that is under abuse.
type server struct {
	hub     *hub.Hub
	streams core.Group
	ballast []*os.File // they only take file descriptors
}

// serve serves until SIGTERM or the end of the standard input, in the process that
// startProcess has started.
func serve(redisAddr string) error {
	s := &server{streams: core.Group{Key: func(ctx context.Context) string { return path.Base(core.RequestOf(ctx).Path) }}}
	opts := []hub.Option{hub.WithMaxEvents(maxEvents), hub.WithMaxBytes(maxBytes)}
	if redisAddr != "memory" {
		l := redislog.New(&redis.UniversalOptions{Addrs: []string{redisAddr}, PoolSize: poolSize}, "soak")
		defer func() { _ = l.Close() }()
		opts = append(opts, hub.WithLog(l))
	}
	s.hub = hub.New(opts...)
	var (
		served    = make(chan error, len(hosts))
		shutdowns []func(context.Context) error
	)
	for i, name := range hosts {
		ln, err := net.FileListener(os.NewFile(uintptr(3+i), name))
		if err != nil {
			return fmt.Errorf("listen for %s: %w", name, err)
		}
		run, shutdown := s.mount(name)
		shutdowns = append(shutdowns, shutdown)
		go func() { served <- fmt.Errorf("%s: %w", name, run(ln)) }()
	}

	if n, err := strconv.Atoi(os.Getenv(envFiles)); err == nil {
		if err := limitFiles(n); err != nil {
			return err
		}
	}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { s.answer(); stop() }()
	select {
	case err := <-served:
		return err
	case <-told.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	err := s.streams.Drain(ctx, drainTime)
	down := make(chan error, len(shutdowns))
	for _, shutdown := range shutdowns {
		go func() { down <- shutdown(ctx) }()
	}
	for range shutdowns {
		err = errors.Join(err, <-down)
	}
	return errors.Join(err, s.hub.Shutdown(ctx))
}

// answer answers each line of the standard input with a Usage, after it has done what the line asks for.
func (s *server) answer() {
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		err := s.do(in.Text())
		u := usageOf()
		u.Sessions = s.streams.Len()
		if err != nil {
			u.Failed = err.Error()
		}
		if in.Text() == "stacks" {
			u.Stacks = stacks()
		}
		if err := out.Encode(u); err != nil {
			return
		}
	}
}

// do does what a server can be told without a connection to it.
func (s *server) do(what string) error {
	what, number, _ := strings.Cut(what, " ")
	switch what {
	case "fill":
		return s.fill()
	case "free": // one file descriptor
		if len(s.ballast) == 0 {
			return errors.New("no file descriptor was taken before")
		}
		f := s.ballast[0]
		s.ballast = s.ballast[1:]
		return f.Close()
	case "publish":
		n, err := strconv.ParseInt(number, 10, 64)
		if err == nil {
			_, err = s.hub.Publish(context.Background(), topics[0], eventOf(n))
		}
		return err
	}
	return nil
}

// fill leaves no file descriptor.
func (s *server) fill() error {
	for {
		f, err := os.Open(os.DevNull)
		switch {
		case errors.Is(err, syscall.EMFILE):
			return nil
		case err != nil:
			return err
		}
		s.ballast = append(s.ballast, f)
	}
}

// mount returns what serves a host, and what shuts it down.
func (s *server) mount(name string) (run func(net.Listener) error, shutdown func(context.Context) error) {
	opts := []core.Option{
		core.WithGroup(&s.streams), core.WithHeartbeat(heartbeat), core.WithWriteTimeout(writeTimeout), core.WithRetry(retry),
		core.WithCompression(),
	}
	if slices.Contains(os.Environ(), patiently) {
		opts = append(opts, core.WithWriteTimeout(0))
	}
	modes := map[string][]core.Option{"/handler/": opts, "/detached/": append(opts, core.WithDetach())}
	switch name {
	case "gin":
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		for mode, opts := range modes {
			r.Any(mode+":stream/:client", ginsse.Handler(func(c *gin.Context) core.Stream {
				return s.view(c.Request.Context(), c.Param("stream"), c.Query("topic"), c.Query("from"))
			}, opts...))
		}
		return serveHTTP(r)
	case "echo":
		e := echo.New()
		e.Logger.SetOutput(io.Discard) // streams are broken off on purpose
		for mode, opts := range modes {
			e.Any(mode+":stream/:client", echosse.Handler(func(c echo.Context) (core.Stream, error) {
				return s.view(c.Request().Context(), c.Param("stream"), c.QueryParam("topic"), c.QueryParam("from")), nil
			}, opts...))
		}
		return serveHTTP(e)
	case "echo v5":
		e := echo5.New()
		e.Logger = slog.New(slog.DiscardHandler)
		for mode, opts := range modes {
			e.Any(mode+":stream/:client", echo5sse.Handler(func(c *echo5.Context) (core.Stream, error) {
				return s.view(c.Request().Context(), c.Param("stream"), c.QueryParam("topic"), c.QueryParam("from")), nil
			}, opts...))
		}
		return serveHTTP(e)
	case "fiber":
		app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: headerTime, IdleTimeout: headerTime})
		app.Use(recover.New())
		for mode, opts := range modes {
			app.All(mode+":stream/:client", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
				own := strings.Clone // of what is fiber's
				return s.view(c.UserContext(), own(c.Params("stream")), own(c.Query("topic")), own(c.Query("from"))), nil
			}, opts...))
		}
		return func(ln net.Listener) error { return app.Listener(patient{ln}) }, app.ShutdownWithContext
	case "fiber v3":
		app := fiber3.New(fiber3.Config{ReadTimeout: headerTime, IdleTimeout: headerTime})
		app.Use(recover3.New())
		for mode, opts := range modes {
			app.All(mode+":stream/:client", fiber3sse.Handler(func(c fiber3.Ctx) (core.Stream, error) {
				own := strings.Clone // of what is fiber's
				return s.view(c.Context(), own(c.Params("stream")), own(c.Query("topic")), own(c.Query("from"))), nil
			}, opts...))
		}
		return func(ln net.Listener) error {
			return app.Listener(patient{ln}, fiber3.ListenConfig{DisableStartupMessage: true})
		}, app.ShutdownWithContext
	default:
		mux := http.NewServeMux()
		for mode, opts := range modes {
			mux.Handle(mode+"{stream}/{client}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				return s.view(r.Context(), r.PathValue("stream"), r.URL.Query().Get("topic"), r.URL.Query().Get("from"))
			}, opts...))
		}
		mux.HandleFunc("POST /publish", s.publish)
		mux.HandleFunc("GET /lives", s.lives)
		run, shutdown = serveHTTP(mux)
		if name == hosts[tlsHost] {
			plain, config := run, hosttest.ServerTLS()
			run = func(ln net.Listener) error { return plain(tls.NewListener(ln, config)) }
		}
		return run, shutdown
	}
}

// A patient listener waits while the process has no file descriptor left for a connection, as
// a server of net/http does by itself.
type patient struct{ net.Listener }

func (l patient) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return c, err
		}
		<-time.After(100 * time.Millisecond)
	}
}

// serveHTTP returns a server with the settings of docs/production.md, except WriteByteTimeout,
// which would end connections before the library does.
func serveHTTP(h http.Handler) (run func(net.Listener) error, shutdown func(context.Context) error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           h,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: 2 * heartbeat, PingTimeout: 2 * heartbeat},
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       headerTime,
		ErrorLog:          log.New(io.Discard, "", 0), // streams are broken off on purpose
	}
	return srv.Serve, srv.Shutdown
}

// view returns the stream "events", a topic of the hub, or "flood", which is as fast as the
// client.
func (s *server) view(ctx context.Context, stream, topic, from string) core.Stream {
	if stream == "flood" {
		return flood
	}
	position := hub.Now
	if from == "oldest" {
		position = hub.Oldest
	}
	return s.hub.SubscribeFrom(ctx, position, topic)
}

func flood(yield func(core.Event, error) bool) {
	for n := int64(1); yield(eventOf(n), nil); n++ { //nolint:revive // until the client leaves
	}
}

// publish publishes an event of a topic. It may be called again for the same one.
func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err == nil {
		_, err = s.hub.Publish(r.Context(), r.FormValue("topic"), eventOf(n), hub.WithIdempotencyKey(r.FormValue("n")))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// lives reports whether the session of a client goes on.
func (s *server) lives(w http.ResponseWriter, r *http.Request) {
	for m := range s.streams.Members() {
		if m.Key == r.FormValue("client") {
			fmt.Fprint(w, "yes")
			return
		}
	}
}
