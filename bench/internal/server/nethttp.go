package server

import (
	"fmt"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// serve runs h as any program would.
func serve(ln net.Listener, h http.Handler) error {
	return (&http.Server{Handler: h}).Serve(ln)
}

func serveNetHTTP(ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /each", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		flusher := w.(http.Flusher) //nolint:forcetypeassert // the server's own
		n := number(r.URL.RawQuery)
		for id := firstID; id < firstID+n; id++ {
			if _, err := fmt.Fprintf(w, format, id, eventType, data); err != nil {
				return
			}
			flusher.Flush()
		}
	})
	mux.HandleFunc("GET "+Idle, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = fmt.Fprintf(w, format, firstID, eventType, data)
		w.(http.Flusher).Flush() //nolint:forcetypeassert // the server's own
		<-r.Context().Done()
	})
	return serve(ln, mux)
}

func serveNetHTTPSSE(ln net.Listener) error {
	view := func(_ http.ResponseWriter, r *http.Request) core.Stream { return burst(r.URL.RawQuery) }
	mux := http.NewServeMux()
	mux.Handle("GET /each", nethttpsse.Handler(view, each))
	mux.Handle("GET /gathered", nethttpsse.Handler(view))
	mux.Handle("GET "+Idle, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return idle(r.Context())
	}))
	return serve(ln, mux)
}

func serveGinSSE(ln net.Listener) error {
	gin.SetMode(gin.ReleaseMode)
	view := func(c *gin.Context) core.Stream { return burst(c.Request.URL.RawQuery) }
	r := gin.New()
	r.GET("/each", ginsse.Handler(view, each))
	r.GET("/gathered", ginsse.Handler(view))
	r.GET(Idle, ginsse.Handler(func(c *gin.Context) core.Stream { return idle(c.Request.Context()) }))
	return serve(ln, r)
}

func serveEchoSSE(ln net.Listener) error {
	view := func(c echo.Context) (core.Stream, error) { return burst(c.QueryString()), nil }
	e := echo.New()
	e.GET("/each", echosse.Handler(view, each))
	e.GET("/gathered", echosse.Handler(view))
	e.GET(Idle, echosse.Handler(func(c echo.Context) (core.Stream, error) {
		return idle(c.Request().Context()), nil
	}))
	return serve(ln, e)
}
