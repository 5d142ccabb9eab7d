package otelsse

import (
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/yieldsse/yieldsse/otelsse"

// An Option sets something about what is reported. A nil Option does nothing.
type Option func(*config)

type config struct {
	meters     metric.MeterProvider
	tracers    trace.TracerProvider // nil without spans
	attributes []attribute.KeyValue
	histogram  bool
}

func newConfig(opts []Option) config {
	c := config{meters: otel.GetMeterProvider()}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// with returns the option for a measurement with these attributes besides those of all.
func (c *config) with(attributes ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(slices.Concat(c.attributes, attributes)...))
}

// WithMeterProvider sets where metrics go. The default is [otel.GetMeterProvider].
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) {
		if p != nil {
			c.meters = p
		}
	}
}

// WithTracerProvider makes a span of each session. There is none by default. It has no effect
// on a hub or a runner.
//
// A span that is open for as long as a stream, which may be hours, would be lost if the process ended, and
// its trace could not be shown before. So the span is made at the session's end, with the
// time at which the session began. It is the root of a trace of its own, and links to the
// request's span if there is one. Its status is an error if the stream has failed.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) { c.tracers = p }
}

// WithAttributes adds attributes to everything that is reported, such as the name of a hub if
// there are several. Attributes must have few values: each combination is a time series.
func WithAttributes(attributes ...attribute.KeyValue) Option {
	return func(c *config) { c.attributes = append(c.attributes, attributes...) }
}

// WithRoute adds the attribute http.route: the pattern of the handler's route, such as
// "/prices/{symbol}". It is not the path of a request.
func WithRoute(route string) Option { return WithAttributes(semconv.HTTPRoute(route)) }

// WithWriteDuration also reports how long each write takes, as a histogram. There are always
// the number of writes and their time in all. It has no effect on a hub or a runner.
//
// A histogram is not a mere addition: it makes a write slower by a few hundred nanoseconds.
func WithWriteDuration() Option { return func(c *config) { c.histogram = true } }
