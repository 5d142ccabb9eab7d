package otelsse_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/otelsse"
)

// A program has one provider, with a reader or an exporter that reports elsewhere.
func Example() {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	view := func(http.ResponseWriter, *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "1"}, nil) && yield(core.Event{Data: "2"}, nil)
		}
	}
	server := httptest.NewServer(nethttpsse.Handler(view,
		otelsse.Sessions(otelsse.WithMeterProvider(provider), otelsse.WithRoute("/numbers"))))

	resp, err := http.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	server.Close()

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "sse.server.events" {
			fmt.Println(m.Name, sum.DataPoints[0].Value)
		}
	}
	// Output: sse.server.events 2
}
