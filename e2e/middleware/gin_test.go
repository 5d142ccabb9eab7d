package middleware_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/NYTimes/gziphandler"
	gincache "github.com/chenyahui/gin-cache"
	"github.com/chenyahui/gin-cache/persist"
	sentrygin "github.com/getsentry/sentry-go/gin"
	contribcache "github.com/gin-contrib/cache"
	"github.com/gin-contrib/cache/persistence"
	"github.com/gin-contrib/cache/utils"
	gincors "github.com/gin-contrib/cors"
	gingzip "github.com/gin-contrib/gzip"
	ginlogger "github.com/gin-contrib/logger"
	"github.com/gin-contrib/requestid"
	ginsecure "github.com/gin-contrib/secure"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	limits "github.com/gin-contrib/size"
	"github.com/gin-contrib/static"
	"github.com/gin-contrib/timeout"
	ginzap "github.com/gin-contrib/zap"
	"github.com/gin-gonic/gin"
	"github.com/gorilla/handlers"
	adapter "github.com/gwatts/gin-adapter"
	"github.com/justinas/nosurf"
	"github.com/klauspost/compress/gzhttp"
	"github.com/newrelic/go-agent/v3/integrations/nrgin"
	sloggin "github.com/samber/slog-gin"
	"github.com/ulule/limiter/v3"
	mgin "github.com/ulule/limiter/v3/drivers/middleware/gin"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	ginprometheus "github.com/zsais/go-gin-prometheus"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.uber.org/zap"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

// A ginTutorial is the gzip writer of many tutorials.
type ginTutorial struct {
	gin.ResponseWriter
	zip *gzip.Writer
}

func (w *ginTutorial) Write(p []byte) (int, error)       { return w.zip.Write(p) }
func (w *ginTutorial) WriteString(s string) (int, error) { return w.zip.Write([]byte(s)) }

func gzipOfTutorials(c *gin.Context) {
	c.Header("Content-Encoding", "gzip")
	zip := gzip.NewWriter(c.Writer)
	defer zip.Close() //nolint:errcheck // the client sees
	c.Writer = &ginTutorial{c.Writer, zip}
	c.Next()
}

// A bodyLog is the writer from gin's FAQ that logs responses.
type bodyLog struct {
	gin.ResponseWriter
	body bytes.Buffer
}

func (w *bodyLog) Write(p []byte) (int, error) { w.body.Write(p); return w.ResponseWriter.Write(p) }

// A copyingStore is for gin-contrib/cache. That package's InMemoryStore keeps the slice
// that a writer was given, which may hold another stream's bytes by the time it is read.
type copyingStore struct {
	persistence.CacheStore // nil, because no other method is called

	pages sync.Map
}

func (s *copyingStore) Get(key string, page any) error {
	b, ok := s.pages.Load(key)
	if !ok {
		return persistence.ErrCacheMiss
	}
	return utils.Deserialize(b.([]byte), page)
}

func (s *copyingStore) Set(key string, page any, _ time.Duration) error {
	b, err := utils.Serialize(page)
	s.pages.Store(key, b)
	return err
}

// A ginChain is several middlewares.
type ginChain []gin.HandlerFunc

var ginRows = []row{
	{name: "gin: nothing", use: func(c *gin.Context) { c.Next() }},
	{name: "gin: Recovery", use: gin.RecoveryWithWriter(discard{})},
	{name: "gin: Logger", use: gin.LoggerWithWriter(discard{})},
	{name: "gin: ErrorLogger", use: gin.ErrorLogger()},
	{name: "gin: the FAQ's writer that logs bodies", use: func(c *gin.Context) {
		c.Writer = &bodyLog{ResponseWriter: c.Writer}
		c.Next()
	}, note: "it keeps the stream in memory"},
	{name: "gin: the gzip writer of tutorials", want: breaks, text: "a *middleware_test.ginTutorial holds the stream back", use: gzipOfTutorials},
	{name: "gin-contrib/gzip", want: zips, use: gingzip.Gzip(gingzip.DefaultCompression), note: "about 800 KiB a stream"},
	{name: "gin-contrib/gzip, excluded", use: gingzip.Gzip(gingzip.DefaultCompression, gingzip.WithExcludedPathsRegexs([]string{".*"}))},
	{name: "gin-contrib/sessions", cookie: "session", use: ginChain{
		sessions.Sessions("session", cookie.NewStore([]byte("secret"))),
		func(c *gin.Context) {
			s := sessions.Default(c)
			s.Set("seen", true)
			_ = s.Save()
		},
	}, note: "save the session before the stream"},
	{name: "gin-contrib/cors", use: gincors.Default()},
	{name: "gin-contrib/zap", use: ginzap.Ginzap(zap.NewNop(), time.RFC3339, true)},
	{name: "gin-contrib/zap: Recovery", use: ginzap.RecoveryWithZap(zap.NewNop(), true)},
	{name: "gin-contrib/requestid", use: requestid.New()},
	{name: "gin-contrib/secure", use: ginsecure.New(ginsecure.Config{FrameDeny: true})},
	{name: "gin-contrib/logger", use: ginlogger.SetLogger(ginlogger.WithWriter(discard{}))},
	{name: "gin-contrib/size", use: limits.RequestSizeLimiter(1 << 20)},
	{name: "gin-contrib/static", use: static.Serve("/files", static.LocalFile("/nowhere", false))},
	{name: "gin-contrib/timeout", want: refused, text: "a *timeout.Writer holds the headers back", use: timeout.New(timeout.WithTimeout(patience))},
	{name: "gin-contrib/cache", want: keeps, note: "also while the first stream runs; with its InMemoryStore, the response may contain bytes of other streams",
		use: func() gin.HandlerFunc {
			return contribcache.CachePage(new(copyingStore), time.Minute, func(c *gin.Context) { c.Next() })
		}},
	{name: "chenyahui/gin-cache", want: keeps, note: "requests that come while the first stream runs wait for its end",
		use: func() gin.HandlerFunc {
			return gincache.CacheByRequestURI(persist.NewMemoryStore(time.Minute), time.Minute)
		}},
	{name: "opentelemetry: otelgin", use: otelgin.Middleware("a")},
	{name: "getsentry/sentry-go/gin", use: sentrygin.New(sentrygin.Options{Repanic: true})},
	{name: "newrelic: nrgin", use: nrgin.Middleware(newRelic())},
	{name: "samber/slog-gin", use: sloggin.New(quietSlog)},
	{name: "samber/slog-gin, with bodies", use: sloggin.NewWithConfig(quietSlog, sloggin.Config{WithResponseBody: true})},
	{name: "zsais/go-gin-prometheus", use: ginprometheus.NewPrometheus("a").HandlerFunc()},
	{name: "ulule/limiter", use: mgin.NewMiddleware(limiter.New(memory.NewStore(), limiter.Rate{Period: time.Minute, Limit: 1000}))},
	{name: "gwatts/gin-adapter with gorilla/handlers: CompressHandler", want: breaks, text: "holds the stream back",
		use: adapter.Wrap(handlers.CompressHandler)},
	{name: "gwatts/gin-adapter with nosurf", use: adapter.Wrap(func(h http.Handler) http.Handler { return nosurf.New(h) })},
	{name: "gin in net/http: TimeoutHandler", want: refused, text: "a *http.timeoutWriter cannot flush",
		around: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, patience, "") }},
	{name: "gin in NYTimes/gziphandler", want: refused, text: "a *gziphandler.GzipResponseWriter", around: gziphandler.GzipHandler},
	{name: "gin in gorilla/handlers: CompressHandler", want: zips, around: handlers.CompressHandler},
	{name: "gin in klauspost/compress: gzhttp", want: zips, around: withGzhttp(gzhttp.NewWrapper())},
	{name: "gin in otelhttp", around: func(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "a") }},
	{name: "gin in h2c", around: h2cOfNet},
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestGin(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.ReleaseMode)
	run(t, ginRows, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		e := gin.New()
		e.Use(func(c *gin.Context) {
			c.Next()
			if len(c.Errors) > 0 {
				_, _ = s.Write([]byte(c.Errors.String()))
			}
		})
		switch use := r.use.(type) {
		case func(*gin.Context):
			e.Use(use)
		case gin.HandlerFunc:
			e.Use(use)
		case func() gin.HandlerFunc:
			e.Use(use())
		case ginChain:
			e.Use(use...)
		}
		for _, path := range paths {
			e.Match([]string{http.MethodGet, http.MethodPost}, path, ginsse.Handler(func(c *gin.Context) core.Stream { return s.stream(c.Request.Context(), path) }, s.opts...))
		}
		e.GET("/plain", func(c *gin.Context) { c.String(http.StatusOK, "plain") })
		h := http.Handler(e)
		if r.around != nil {
			h = r.around(e)
		}
		return serveHTTP(t, ln, s, h)
	}, modes...)
}
