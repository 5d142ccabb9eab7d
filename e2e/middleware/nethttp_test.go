package middleware_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/CAFxX/httpcompression"
	"github.com/NYTimes/gziphandler"
	"github.com/alexedwards/scs/v2"
	"github.com/andybalholm/brotli"
	"github.com/didip/tollbooth/v8"
	"github.com/felixge/httpsnoop"
	sentryhttp "github.com/getsentry/sentry-go/http"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	chicors "github.com/go-chi/cors"
	"github.com/go-chi/httplog/v3"
	"github.com/go-chi/httprate"
	"github.com/gorilla/csrf"
	"github.com/gorilla/handlers"
	"github.com/justinas/nosurf"
	"github.com/klauspost/compress/gzhttp"
	"github.com/newrelic/go-agent/v3/newrelic"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/cors"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/hlog"
	sloghttp "github.com/samber/slog-http"
	slokmetrics "github.com/slok/go-http-metrics/metrics/prometheus"
	slok "github.com/slok/go-http-metrics/middleware"
	slokstd "github.com/slok/go-http-metrics/middleware/std"
	"github.com/unrolled/secure"
	"github.com/urfave/negroni/v3"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c" //nolint:staticcheck // many still use it

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

var quietSlog = slog.New(slog.DiscardHandler)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A brotliWriter is like those that people write by hand.
type brotliWriter struct {
	http.ResponseWriter
	zip *brotli.Writer
}

func (w *brotliWriter) Write(p []byte) (int, error) { return w.zip.Write(p) }

func (w *brotliWriter) Flush() {
	_ = w.zip.Flush()
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

func brotliByHand(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		zip := brotli.NewWriter(w)
		defer zip.Close() //nolint:errcheck // the client sees
		h.ServeHTTP(&brotliWriter{w, zip}, r)
	})
}

// A gzipWriter is another. Its Flush only flushes the writer below.
type gzipWriter struct {
	http.ResponseWriter
	http.Flusher
	zip *gzip.Writer
}

func (w *gzipWriter) Write(p []byte) (int, error) { return w.zip.Write(p) }

func gzipByHand(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer zip.Close() //nolint:errcheck // the client sees
		h.ServeHTTP(&gzipWriter{w, w.(http.Flusher), zip}, r)
	})
}

// A recorder is like the writer of most hand-written loggers.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func counter(name string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, nil)
}

func histogram(name string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name}, nil)
}

func withNegroni(use ...negroni.Handler) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		n := negroni.New(use...)
		n.UseHandler(h)
		return n
	}
}

func negroniLogger() *negroni.Logger {
	l := negroni.NewLogger()
	l.ALogger = quiet{}
	return l
}

func withGzhttp(wrap func(http.Handler) http.HandlerFunc, err error) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler { return must(wrap, err)(h) }
}

var netHTTP = []row{
	{name: "net/http: nothing", around: func(h http.Handler) http.Handler { return h }},
	{name: "net/http: MaxBytesHandler", around: func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 1<<20) }},
	{name: "net/http: CrossOriginProtection", around: http.NewCrossOriginProtection().Handler},
	{name: "net/http: TimeoutHandler", want: refused, text: "a *http.timeoutWriter cannot flush",
		around: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, patience, "") }},
	{name: "a writer that embeds and hides Flush", want: refused, text: "a *middleware_test.recorder cannot flush",
		around: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&recorder{w, 200}, r) })
		}},
	{name: "a brotli writer by hand", want: zips, around: brotliByHand},
	{name: "a gzip writer by hand, without a Flush of its own", want: breaks, text: "a *middleware_test.gzipWriter holds the stream back",
		around: gzipByHand},
	{name: "golang.org/x/net: h2c", around: h2cOfNet},

	{name: "go-chi/chi: Compress", want: zips, around: chimiddleware.Compress(5, "text/event-stream")},
	{name: "go-chi/chi: Compress, deflate", want: zips, accept: "deflate", around: chimiddleware.Compress(5, "text/*")},
	{name: "go-chi/chi: Timeout", stays: true, around: chimiddleware.Timeout(patience), note: "the stream ends at the timeout, and is not detached"},
	{name: "go-chi/chi: Throttle", around: chimiddleware.Throttle(100)},
	{name: "go-chi/chi: Logger", around: chimiddleware.RequestLogger(&chimiddleware.DefaultLogFormatter{Logger: quiet{}})},
	{name: "go-chi/chi: Recoverer", around: chimiddleware.Recoverer},
	{name: "go-chi/chi: RequestID", around: chimiddleware.RequestID},
	{name: "go-chi/chi: RealIP", around: chimiddleware.RealIP}, //nolint:staticcheck // many still use it
	{name: "go-chi/chi: NoCache", around: chimiddleware.NoCache},
	{name: "go-chi/chi: CleanPath", around: inChi(chimiddleware.CleanPath)},
	{name: "go-chi/chi: StripSlashes", around: inChi(chimiddleware.StripSlashes)},
	{name: "go-chi/chi: GetHead", around: inChi(chimiddleware.GetHead)},
	{name: "go-chi/chi: Heartbeat", around: chimiddleware.Heartbeat("/ping")},
	{name: "go-chi/chi: BasicAuth", header: "Authorization: Basic YTpi", around: chimiddleware.BasicAuth("", map[string]string{"a": "b"})},
	{name: "go-chi/cors", around: chicors.Handler(chicors.Options{AllowedOrigins: []string{"*"}})},
	{name: "go-chi/httplog", around: httplog.RequestLogger(quietSlog, &httplog.Options{RecoverPanics: true})},
	{name: "go-chi/httplog, with bodies", around: httplog.RequestLogger(quietSlog, &httplog.Options{
		LogResponseBody: func(*http.Request) bool { return true },
	})},
	{name: "go-chi/httprate", around: httprate.LimitBy(1000, time.Minute, httprate.Key("*"))},

	{name: "gorilla/handlers: CompressHandler", want: zips, around: handlers.CompressHandler},
	{name: "gorilla/handlers: LoggingHandler", around: func(h http.Handler) http.Handler { return handlers.LoggingHandler(io.Discard, h) }},
	{name: "gorilla/handlers: CombinedLoggingHandler", around: func(h http.Handler) http.Handler {
		return handlers.CombinedLoggingHandler(io.Discard, h)
	}},
	{name: "gorilla/handlers: RecoveryHandler", around: handlers.RecoveryHandler(handlers.RecoveryLogger(quiet{}))},
	{name: "gorilla/handlers: CORS", around: handlers.CORS()},
	{name: "gorilla/handlers: ProxyHeaders", around: handlers.ProxyHeaders},
	{name: "gorilla/csrf", around: csrf.Protect([]byte(strings.Repeat("k", 32))), cookie: "_gorilla_csrf"},

	{name: "klauspost/compress: gzhttp", want: zips, around: withGzhttp(gzhttp.NewWrapper(gzhttp.ContentTypes([]string{"text/event-stream"}), gzhttp.MinSize(0)))},
	{name: "klauspost/compress: gzhttp, defaults", around: withGzhttp(gzhttp.NewWrapper()), want: zips},
	{name: "klauspost/compress: gzhttp, zstd", want: zips, accept: "zstd", around: withGzhttp(gzhttp.NewWrapper(gzhttp.EnableZstd(true)))},
	{name: "klauspost/compress: gzhttp, RandomJitter", want: zips, around: withGzhttp(gzhttp.NewWrapper(gzhttp.RandomJitter(32, 0, false)))},
	{name: "klauspost/compress: gzhttp, other types", around: withGzhttp(gzhttp.NewWrapper(gzhttp.ExceptContentTypes([]string{"text/event-stream"})))},
	{name: "NYTimes/gziphandler", want: refused, text: "a *gziphandler.GzipResponseWriter", around: gziphandler.GzipHandler,
		note: "until it has 1,400 bytes"},
	{name: "NYTimes/gziphandler, minimum 1", want: zips,
		around: must(gziphandler.GzipHandlerWithOpts(gziphandler.MinSize(1)))},
	{name: "CAFxX/httpcompression", want: refused, text: "a *httpcompression.compressWriter holds the stream back",
		around: must(httpcompression.DefaultAdapter()), note: "until it has 200 bytes"},
	{name: "CAFxX/httpcompression, minimum 0", want: zips, around: must(httpcompression.DefaultAdapter(httpcompression.MinSize(0)))},

	{name: "urfave/negroni", around: withNegroni()},
	{name: "urfave/negroni: Recovery", around: withNegroni(&negroni.Recovery{Logger: quiet{}})},
	{name: "urfave/negroni: Logger", around: withNegroni(negroniLogger())},
	{name: "alexedwards/scs", around: withSCS, cookie: "session"},
	{name: "felixge/httpsnoop", around: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { httpsnoop.CaptureMetrics(h, w, r) })
	}},
	{name: "prometheus: InstrumentHandlerCounter", around: func(h http.Handler) http.Handler {
		return promhttp.InstrumentHandlerCounter(counter("a"), h)
	}},
	{name: "prometheus: InstrumentHandlerDuration", around: func(h http.Handler) http.Handler {
		return promhttp.InstrumentHandlerDuration(histogram("a"), h)
	}},
	{name: "prometheus: InstrumentHandlerInFlight", around: func(h http.Handler) http.Handler {
		return promhttp.InstrumentHandlerInFlight(prometheus.NewGauge(prometheus.GaugeOpts{Name: "a", Help: "of a test"}), h)
	}},
	{name: "prometheus: InstrumentHandlerResponseSize", around: func(h http.Handler) http.Handler {
		return promhttp.InstrumentHandlerResponseSize(histogram("a"), h)
	}},
	{name: "prometheus: InstrumentHandlerTimeToWriteHeader", around: func(h http.Handler) http.Handler {
		return promhttp.InstrumentHandlerTimeToWriteHeader(histogram("a"), h)
	}},
	{name: "slok/go-http-metrics", around: func(h http.Handler) http.Handler {
		m := slok.New(slok.Config{Recorder: slokmetrics.NewRecorder(slokmetrics.Config{Registry: prometheus.NewRegistry()})})
		return slokstd.Handler("", m, h)
	}},
	{name: "opentelemetry: otelhttp", around: func(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "a") }},
	{name: "getsentry/sentry-go/http", around: func(h http.Handler) http.Handler {
		return sentryhttp.New(sentryhttp.Options{Repanic: true}).Handle(h)
	}},
	{name: "newrelic/go-agent", around: func(h http.Handler) http.Handler {
		_, h = newrelic.WrapHandle(newRelic(), "/", h)
		return h
	}},
	{name: "rs/cors", around: cors.Default().Handler},
	{name: "unrolled/secure", around: secure.New(secure.Options{FrameDeny: true}).Handler},
	{name: "justinas/nosurf", around: func(h http.Handler) http.Handler { return nosurf.New(h) }, cookie: "csrf_token"},
	{name: "rs/zerolog: hlog", around: func(h http.Handler) http.Handler {
		return hlog.NewHandler(zerolog.Nop())(hlog.AccessHandler(func(*http.Request, int, int, time.Duration) {})(h))
	}},
	{name: "samber/slog-http", around: sloghttp.New(quietSlog)},
	{name: "samber/slog-http, with bodies", around: sloghttp.NewWithConfig(quietSlog, sloghttp.Config{WithResponseBody: true})},
	{name: "samber/slog-http: Recovery", around: sloghttp.Recovery},
	{name: "didip/tollbooth", around: tollbooth.HTTPMiddleware(tollbooth.NewLimiter(1000, nil))},
}

// withSCS changes the session in each request, so that the response sets its cookie.
func withSCS(h http.Handler) http.Handler {
	m := scs.New()
	return m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.Put(r.Context(), "seen", true)
		h.ServeHTTP(w, r)
	}))
}

func h2cOfNet(h http.Handler) http.Handler {
	return h2c.NewHandler(h, new(http2.Server)) //nolint:staticcheck // many still use it
}

func inChi(middleware func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Use(middleware)
		r.Handle("/*", h)
		return r
	}
}

func newRelic() *newrelic.Application {
	return must(newrelic.NewApplication(newrelic.ConfigAppName("a"), newrelic.ConfigEnabled(false)))
}

type quiet struct{}

func (quiet) Print(...any)          {}
func (quiet) Println(...any)        {}
func (quiet) Printf(string, ...any) {}

// streams serves the site's streams, and a response that is not a stream.
func streams(s *site) http.Handler {
	mux := http.NewServeMux()
	for _, path := range paths {
		mux.Handle(path, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return s.stream(r.Context(), path)
		}, s.opts...))
	}
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "plain") })
	return mux
}

func TestNetHTTP(t *testing.T) {
	t.Parallel()
	run(t, netHTTP, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		return serveHTTP(t, ln, s, r.around(streams(s)))
	}, modes...)
}
