package http3_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	echo5 "github.com/labstack/echo/v5"
	middleware5 "github.com/labstack/echo/v5/middleware"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

// hosts has the handler of each host for a site, with the host's recovery middleware.
var hosts = map[string]func(*adaptertest.Site) http.Handler{
	"nethttp": netHTTP,
	"gin":     withGin,
	"echo":    withEcho,
	"echo5":   withEcho5,
}

func mount(host string) adaptertest.Mount {
	return adaptertest.Mount{
		Name:      host,
		Protocols: []adaptertest.Protocol{adaptertest.HTTP3},
		Serve: func(t testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
			return serveSite(t, site, hosts[host](site))
		},
	}
}

// serveSite serves a site over HTTP/3.
func serveSite(t testing.TB, site *adaptertest.Site, handler http.Handler) (shutdown func(context.Context) error) {
	t.Helper()
	srv := site.Server(handler)
	h3 := &http3.Server{
		Handler:     srv.Handler,
		TLSConfig:   hosttest.ServerTLS(),
		IdleTimeout: site.Timeout,
		Logger:      slog.New(slog.NewTextHandler(site.Log, &slog.HandlerOptions{Level: slog.LevelError})),
		ConnContext: contextOf(srv),
	}
	udp, serve := listen(t, h3)
	go serve()
	site.Transport = transportTo(udp.LocalAddr())
	return func(ctx context.Context) error {
		defer func() { _ = udp.Close() }()
		return errors.Join(srv.Shutdown(ctx), h3.Shutdown(ctx))
	}
}

// contextOf makes the streams of HTTP/3 connections belong to a server of net/http.
func contextOf(srv *http.Server) func(context.Context, *quic.Conn) context.Context {
	return func(ctx context.Context, _ *quic.Conn) context.Context {
		return context.WithValue(ctx, http.ServerContextKey, srv)
	}
}

// transportTo returns a transport that sends all requests to addr.
func transportTo(addr net.Addr) *http3.Transport {
	return &http3.Transport{
		TLSClientConfig: hosttest.ClientTLS(),
		QUICConfig:      &quic.Config{MaxIncomingStreams: -1, KeepAlivePeriod: 10 * time.Second, HandshakeIdleTimeout: hosttest.Patience},
		Dial: func(ctx context.Context, _ string, config *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, addr.String(), config, quicConfig)
		},
	}
}

func listen(t testing.TB, h3 *http3.Server) (udp net.PacketConn, serve func()) {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return udp, func() { _ = h3.Serve(udp) }
}

func netHTTP(site *adaptertest.Site) http.Handler {
	mux := http.NewServeMux()
	for path, view := range site.Views {
		var v nethttpsse.View
		if view != nil {
			v = func(w http.ResponseWriter, r *http.Request) core.Stream {
				return view(r.Context(), adaptertest.Exchange{Body: r.Body, SetHeader: w.Header().Set})
			}
		}
		mux.Handle(path, nethttpsse.Handler(v, site.Options...))
	}
	for name, answer := range map[string]http.HandlerFunc{
		"forbidden": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no entry", http.StatusForbidden) },
		"json": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(w, `{"answer":42}`)
		},
		"redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/json", http.StatusSeeOther) },
		"no-content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
	} {
		mux.HandleFunc("GET /plain/"+name, answer)
		mux.Handle("GET /"+name, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			answer(w, r)
			return nil
		}, site.Options...))
	}
	return recovery(log.New(site.Log, "", 0), mux)
}

// recovery passes no panic on, not even http.ErrAbortHandler.
func recovery(log *log.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				log.Printf("panic of %s: %v", r.URL.Path, v)
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func withGin(site *adaptertest.Site) http.Handler {
	engine := gin.New()
	engine.Use(gin.RecoveryWithWriter(site.Log), func(c *gin.Context) {
		c.Next()
		for _, err := range c.Errors {
			fmt.Fprintln(site.Log, err)
		}
	})
	for path, view := range site.Views {
		var v ginsse.View
		if view != nil {
			v = func(c *gin.Context) core.Stream {
				return view(c.Request.Context(), adaptertest.Exchange{Body: c.Request.Body, SetHeader: c.Header})
			}
		}
		engine.Any(path, ginsse.Handler(v, site.Options...))
	}
	for name, answer := range map[string]gin.HandlerFunc{
		"forbidden": func(c *gin.Context) { c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"error": "no entry"}) },
		"json": func(c *gin.Context) {
			c.Header("Cache-Control", "max-age=60")
			c.JSON(http.StatusOK, gin.H{"answer": 42})
		},
		"redirect":   func(c *gin.Context) { c.Redirect(http.StatusSeeOther, "/json") },
		"no-content": func(c *gin.Context) { c.Status(http.StatusNoContent) },
		"nothing":    func(*gin.Context) {},
	} {
		engine.GET("/plain/"+name, answer)
		engine.GET("/"+name, ginsse.Handler(func(c *gin.Context) core.Stream {
			answer(c)
			return nil
		}, site.Options...))
	}
	return engine
}

func withEcho(site *adaptertest.Site) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(site.Log)
	e.StdLogger = log.New(site.Log, "", 0)
	e.Use(middleware.Recover())
	for path, view := range site.Views {
		var v echosse.View
		if view != nil {
			v = func(c echo.Context) (core.Stream, error) {
				r := c.Request()
				return view(r.Context(), adaptertest.Exchange{Body: r.Body, SetHeader: c.Response().Header().Set}), nil
			}
		}
		e.Any(path, echosse.Handler(v, site.Options...))
	}
	for name, answer := range map[string]echo.HandlerFunc{
		"forbidden": func(echo.Context) error { return echo.NewHTTPError(http.StatusForbidden, "no entry") },
		"json": func(c echo.Context) error {
			c.Response().Header().Set("Cache-Control", "max-age=60")
			return c.JSON(http.StatusOK, echo.Map{"answer": 42})
		},
		"redirect":   func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, "/json") },
		"no-content": func(c echo.Context) error { return c.NoContent(http.StatusNoContent) },
		"nothing":    func(echo.Context) error { return nil },
	} {
		e.GET("/plain/"+name, answer)
		e.GET("/"+name, echosse.Handler(func(c echo.Context) (core.Stream, error) { return nil, answer(c) }, site.Options...))
	}
	return e
}

func withEcho5(site *adaptertest.Site) http.Handler {
	logger := slog.New(slog.NewTextHandler(site.Log, &slog.HandlerOptions{Level: slog.LevelError}))
	e := echo5.NewWithConfig(echo5.Config{Logger: logger})
	e.Use(middleware5.RequestLogger(), middleware5.Recover()) // Recover itself logs nothing
	for path, view := range site.Views {
		var v echo5sse.View
		if view != nil {
			v = func(c *echo5.Context) (core.Stream, error) {
				r := c.Request()
				return view(r.Context(), adaptertest.Exchange{Body: r.Body, SetHeader: c.Response().Header().Set}), nil
			}
		}
		e.Any(path, echo5sse.Handler(v, site.Options...))
	}
	for name, answer := range map[string]echo5.HandlerFunc{
		"forbidden": func(*echo5.Context) error { return echo5.NewHTTPError(http.StatusForbidden, "no entry") },
		"json": func(c *echo5.Context) error {
			c.Response().Header().Set("Cache-Control", "max-age=60")
			return c.JSON(http.StatusOK, map[string]int{"answer": 42})
		},
		"redirect":   func(c *echo5.Context) error { return c.Redirect(http.StatusSeeOther, "/json") },
		"no-content": func(c *echo5.Context) error { return c.NoContent(http.StatusNoContent) },
		"nothing":    func(*echo5.Context) error { return nil },
	} {
		e.GET("/plain/"+name, answer)
		e.GET("/"+name, echo5sse.Handler(func(c *echo5.Context) (core.Stream, error) { return nil, answer(c) }, site.Options...))
	}
	return e
}
