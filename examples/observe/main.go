// Prices and counts, with metrics of their streams for Prometheus. In three terminals:
//
//	go run ./examples/observe
//	prometheus --config.file examples/observe/prometheus.yml --storage.tsdb.path /tmp/observe
//	curl -N http://127.0.0.1:8080/prices
//
// Then http://127.0.0.1:9090 has the metrics, and dashboard.json is a dashboard for Grafana:
// import it there, and choose the Prometheus. docs/observing.md explains the metrics.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/otelsse"
	"github.com/yieldsse/yieldsse/run"
)

func main() {
	h := hub.New(hub.WithLogger(slog.Default()))
	go publish(context.Background(), h, time.Second)
	r, err := router(h, run.New())
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(r.Run("127.0.0.1:8080"))
}

func router(h *hub.Hub, runs *run.Runner) (*gin.Engine, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	metrics := otelsse.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter)))
	otelsse.Hub(h, metrics)
	otelsse.Runner(runs, metrics)
	observed := func(route string) core.Option { return otelsse.Sessions(metrics, otelsse.WithRoute(route)) }
	logged := core.WithLogger(slog.Default())

	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/metrics", gin.WrapH(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	r.GET("/prices", ginsse.Handler(func(c *gin.Context) core.Stream {
		return h.Subscribe(c.Request.Context(), "prices.*")
	}, observed("/prices"), logged, core.WithDetach()))
	r.POST("/counts/:key", ginsse.Handler(func(c *gin.Context) core.Stream {
		return runs.Start(c.Request.Context(), c.Param("key"), count)
	}, observed("/counts/:key"), logged))
	r.GET("/counts/:key", ginsse.Handler(func(c *gin.Context) core.Stream {
		return runs.Attach(c.Request.Context(), c.Param("key"))
	}, observed("/counts/:key"), logged))
	return r, nil
}

// publish publishes a price every d.
func publish(ctx context.Context, h *hub.Hub, d time.Duration) {
	for range core.Every(ctx, d) {
		symbol := []string{"ACME", "INIT"}[rand.IntN(2)]                   //nolint:gosec,mnd // not a secret
		price := core.Event{Data: fmt.Sprintf("%.2f", 100*rand.Float64())} //nolint:gosec,mnd // not a secret
		if _, err := h.Publish(ctx, "prices."+symbol, price, hub.WithKey(symbol)); err != nil {
			slog.ErrorContext(ctx, "publish", "error", err)
		}
	}
}

// count is a run.
func count(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		n := 0
		for range core.Every(ctx, 100*time.Millisecond) { //nolint:mnd // a tenth of a second
			if n++; n > 10 || !yield(core.Event{Data: strconv.Itoa(n)}, nil) {
				return
			}
		}
	}
}
