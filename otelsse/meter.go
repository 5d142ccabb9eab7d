package otelsse

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// A meter makes instruments. Most are observed at each collection, all from one snapshot.
type meter[T any] struct {
	metric.Meter

	config      config
	always      metric.MeasurementOption // the attributes of all
	snapshot    func() T
	instruments []metric.Observable
	observers   []func(metric.Observer, T)
}

func newMeter[T any](c config, snapshot func() T) *meter[T] {
	return &meter[T]{
		Meter:    c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)),
		config:   c,
		always:   c.with(),
		snapshot: snapshot,
	}
}

func handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}

func (m *meter[T]) add(i metric.Observable, err error, observe func(metric.Observer, T)) {
	if err != nil {
		handle(err)
		return
	}
	m.instruments = append(m.instruments, i)
	m.observers = append(m.observers, observe)
}

func (m *meter[T]) counter(name, unit, description string, value func(T) int64) {
	i, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.add(i, err, func(o metric.Observer, s T) { o.ObserveInt64(i, value(s), m.always) })
}

func (m *meter[T]) upDown(name, unit, description string, value func(T) int64) {
	i, err := m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.add(i, err, func(o metric.Observer, s T) { o.ObserveInt64(i, value(s), m.always) })
}

// counters is a counter for each value of an attribute.
func (m *meter[T]) counters(name, unit, description string, key attribute.Key, values func(T) map[string]int64) {
	i, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.add(i, err, func(o metric.Observer, s T) {
		for value, n := range values(s) {
			o.ObserveInt64(i, n, m.config.with(key.String(value)))
		}
	})
}

func (m *meter[T]) seconds(name, description string, value func(T) time.Duration) {
	i, err := m.Float64ObservableCounter(name, metric.WithUnit("s"), metric.WithDescription(description))
	m.add(i, err, func(o metric.Observer, s T) { o.ObserveFloat64(i, value(s).Seconds(), m.always) })
}

func (m *meter[T]) gauge(name, description string, value func(T) time.Duration) {
	i, err := m.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
	m.add(i, err, func(o metric.Observer, s T) { o.ObserveFloat64(i, value(s).Seconds(), m.always) })
}

// observe has everything observed from now on, until stop is called.
func (m *meter[T]) observe() (stop func()) {
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := m.snapshot()
		for _, observe := range m.observers {
			observe(o, s)
		}
		return nil
	}, m.instruments...)
	if err != nil {
		handle(err)
		return func() {}
	}
	return func() { handle(r.Unregister()) }
}

// histogram returns an instrument for durations that is not observed, but recorded.
func (m *meter[T]) histogram(name, description string, buckets []float64) metric.Float64Histogram {
	h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(buckets...))
	handle(err)
	return h
}

// direct returns a counter that is not observed, but added to.
func (m *meter[T]) direct(name, unit, description string) metric.Int64Counter {
	c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	handle(err)
	return c
}
