package otelsse_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/otelsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) { ssetest.Main(m) }

// A reading is the metrics of a provider.
type reading struct {
	t      testing.TB
	reader *metric.ManualReader
	to     otelsse.Option
}

func newReading(t testing.TB) *reading {
	t.Helper()
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return &reading{t, reader, otelsse.WithMeterProvider(provider)}
}

// all returns the values of all series by their name and attributes, of histograms the count,
// and the unit of each name.
func (r *reading) all() (values map[string]float64, units map[string]string) {
	r.t.Helper()
	var data metricdata.ResourceMetrics
	if err := r.reader.Collect(context.Background(), &data); err != nil {
		r.t.Error(err)
	}
	values, units = make(map[string]float64), make(map[string]string)
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Description == "" || m.Unit == "" {
				r.t.Errorf("%s has no description or no unit", m.Name)
			}
			units[m.Name] = m.Unit
			set := func(attributes attribute.Set, value float64) {
				values[m.Name+encode(attributes)] = value
			}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					set(p.Attributes, float64(p.Value))
				}
			case metricdata.Sum[float64]:
				for _, p := range d.DataPoints {
					set(p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					set(p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					set(p.Attributes, float64(p.Count))
				}
			default:
				r.t.Errorf("%s is a %T", m.Name, d)
			}
		}
	}
	return values, units
}

func encode(attributes attribute.Set) string {
	var all []string
	for _, a := range attributes.ToSlice() {
		all = append(all, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// missing returns which of these values are not there.
func (r *reading) missing(want map[string]float64) string {
	r.t.Helper()
	got, _ := r.all()
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			return fmt.Sprintf("%s is %v (there: %t), want %v, among %v", name, v, ok, value, slicesOf(got))
		}
	}
	return ""
}

func (r *reading) want(want map[string]float64) {
	r.t.Helper()
	if text := r.missing(want); text != "" {
		r.t.Error(text)
	}
}

// eventually waits until these values are there.
func (r *reading) eventually(want map[string]float64) {
	r.t.Helper()
	deadline := time.After(hosttest.Patience)
	for missing := r.missing(want); missing != ""; missing = r.missing(want) {
		select {
		case <-deadline:
			r.t.Fatal(missing)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func slicesOf(m map[string]float64) string {
	var b strings.Builder
	for name := range maps.Keys(m) {
		fmt.Fprintf(&b, "\n  %s %v", name, m[name])
	}
	return b.String()
}
