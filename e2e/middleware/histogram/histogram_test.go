// Package histogram_test keeps streams out of what middlewares measure of requests, with the
// code of docs/observing.md.
package histogram_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/contrib/otelfiber/v2"
	"github.com/gofiber/fiber/v2"
	echootel "github.com/labstack/echo-opentelemetry"
	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

const (
	wait   = time.Minute
	stream = "/prices"
	other  = "/orders"
)

// streams are the routes of streams.
var streams = map[string]bool{"/prices": true}

// prices is a stream, and orders an ordinary handler. What the frameworks do is not what is
// tested here: with all of them, an adapter's handler returns when the stream has ended.
func prices(http.ResponseWriter, *http.Request) core.Stream {
	return func(yield func(core.Event, error) bool) { yield(core.Event{Data: "1"}, nil) }
}

func orders(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// A setup makes a server, with streams left out or not.
type setup func(t *testing.T, leaveOut bool) (url string)

var setups = map[string]setup{
	"otelgin": func(t *testing.T, leaveOut bool) string {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		if leaveOut {
			r.Use(otelgin.Middleware("shop", otelgin.WithGinFilter(func(c *gin.Context) bool { return !streams[c.FullPath()] })))
		} else {
			r.Use(otelgin.Middleware("shop"))
		}
		r.GET(stream, gin.WrapH(nethttpsse.Handler(prices)))
		r.GET(other, gin.WrapF(orders))
		return ssetest.Serve(t, r)
	},
	"otelecho": func(t *testing.T, leaveOut bool) string {
		e := echo.New()
		if leaveOut {
			e.Use(otelecho.Middleware("shop", otelecho.WithSkipper(func(c echo.Context) bool { return streams[c.Path()] })))
		} else {
			e.Use(otelecho.Middleware("shop"))
		}
		e.GET(stream, echo.WrapHandler(nethttpsse.Handler(prices)))
		e.GET(other, echo.WrapHandler(http.HandlerFunc(orders)))
		return ssetest.Serve(t, e)
	},
	"echo-opentelemetry": func(t *testing.T, leaveOut bool) string {
		e := echo5.New()
		if leaveOut {
			e.Use(echootel.NewMiddlewareWithConfig(echootel.Config{
				ServerName: "shop",
				Skipper:    func(c *echo5.Context) bool { return streams[c.Path()] },
			}))
		} else {
			e.Use(echootel.NewMiddleware("shop"))
		}
		e.GET(stream, echo5.WrapHandler(nethttpsse.Handler(prices)))
		e.GET(other, echo5.WrapHandler(http.HandlerFunc(orders)))
		return ssetest.Serve(t, e)
	},
	"otelfiber": func(t *testing.T, leaveOut bool) string {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		if leaveOut {
			app.Use(otelfiber.Middleware(otelfiber.WithNext(func(c *fiber.Ctx) bool { return streams[c.Path()] })))
		} else {
			app.Use(otelfiber.Middleware())
		}
		app.Get(stream, func(c *fiber.Ctx) error { return c.SendString("data: 1\n\n") })
		app.Get(other, func(c *fiber.Ctx) error { return c.SendStatus(http.StatusNoContent) })
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = app.Listener(ln) }()
		t.Cleanup(func() { _ = app.Shutdown() })
		return "http://" + ln.Addr().String()
	},
}

// A middleware measures each request, and not the streams that are left out.
func TestLeftOut(t *testing.T) {
	for name, setup := range setups {
		for leaveOut, want := range map[bool]int{false: 2, true: 1} {
			t.Run(name, func(t *testing.T) {
				reader, spans := metric.NewManualReader(), tracetest.NewSpanRecorder()
				otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
				otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
				url := setup(t, leaveOut)
				for _, path := range []string{stream, other} {
					get(t, url+path)
				}
				// The handlers may return after the responses.
				got, ended := requests(t, reader), len(spans.Ended())
				for deadline := time.Now().Add(wait); got+ended < 2*want && time.Now().Before(deadline); got, ended = requests(t, reader), len(spans.Ended()) {
					if name == "otelecho" && ended == want { // it has no metrics
						break
					}
					<-time.After(time.Millisecond)
				}
				if name != "otelecho" && got != want || ended != want {
					t.Errorf("streams are left out: %t: got %d requests and %d spans, want %d", leaveOut, got, ended, want)
				}
			})
		}
	}
}

// With promhttp, what is not wrapped is not measured.
func TestPromhttp(t *testing.T) {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "How long requests take."}, []string{"code"})
	orders := http.HandlerFunc(orders)
	mux := http.NewServeMux()
	mux.Handle("/orders", promhttp.InstrumentHandlerDuration(duration, orders))
	mux.Handle("/prices", nethttpsse.Handler(prices))
	url := ssetest.Serve(t, mux)
	get(t, url+stream)
	get(t, url+other)
	registry := prometheus.NewRegistry()
	registry.MustRegister(duration)
	for deadline := time.Now().Add(wait); ; <-time.After(time.Millisecond) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var n uint64
		for _, f := range families {
			for _, m := range f.GetMetric() {
				n += m.GetHistogram().GetSampleCount()
			}
		}
		if n == 1 {
			return
		}
		if n > 1 || time.Now().After(deadline) {
			t.Fatalf("got %d requests, want 1", n)
		}
	}
}

func get(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s: got status %d", url, resp.StatusCode)
	}
}

// requests returns how many requests are in the histogram of their durations.
func requests(t *testing.T, reader *metric.ManualReader) (n int) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && strings.HasSuffix(m.Name, "duration") {
				for _, p := range h.DataPoints {
					n += int(p.Count) //nolint:gosec // a few
				}
			}
		}
	}
	return n
}

// The code in docs/observing.md is that of this file.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../../docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("histogram_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var here []string
	for line := range strings.Lines(string(source)) {
		here = append(here, strings.TrimSpace(line))
	}
	n, inside := 0, false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "```golang":
			inside = true
		case line == "```":
			inside = false
		case inside && line != "" && !strings.HasPrefix(line, "//"):
			if n++; !slices.Contains(here, line) {
				t.Errorf("docs/observing.md has a line that is not tested: %s", line)
			}
		}
	}
	if n == 0 {
		t.Error("docs/observing.md has no code of this file")
	}
}
