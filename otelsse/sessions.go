package otelsse

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/yieldsse/yieldsse/core"
)

// How sessions end, as the attribute sse.end.
const (
	finished    = "finished"
	failed      = "failed"
	clientGone  = "client_gone"
	slowClient  = "slow_client"
	maxDuration = "max_duration"
	shutdown    = "shutdown"
	expired     = "expired"
	evicted     = "evicted"
	other       = "other"
)

const (
	endKey     = attribute.Key("sse.end")
	refusalKey = attribute.Key("sse.refusal")
)

// The buckets of histograms, in seconds. A stream lasts hours, and a write microseconds.
var (
	sessionBuckets = []float64{0.1, 1, 5, 15, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600, 7 * 24 * 3600}
	writeBuckets   = []float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 0.5, 2.5, 10, 30}
)

// Sessions reports the sessions of a handler. Make one for each handler, with
// [WithRoute], when the handler is made; or one for all handlers, without a route.
//
// If an instrument cannot be made, the error goes to [go.opentelemetry.io/otel.Handle].
func Sessions(opts ...Option) core.Option {
	return core.WithObserver(newSessions(newConfig(opts)).observer())
}

// sessions are what all sessions of a handler have in common. The counters are next to each
// other, because each write adds to several of them.
type sessions struct {
	config config

	opened, closed                    atomic.Int64
	events, bytes, heartbeats, writes atomic.Int64
	writeTime                         atomic.Int64 // in ns
	refusals                          metric.Int64Counter
	duration, writeDuration           metric.Float64Histogram
	ends                              map[string][]metric.RecordOption
	always                            []metric.RecordOption
	tracer                            trace.Tracer // nil without spans
}

func newSessions(c config) *sessions {
	s := &sessions{config: c, ends: make(map[string][]metric.RecordOption)}
	s.always = s.with()
	for _, end := range []string{finished, clientGone, slowClient, maxDuration, shutdown, expired, evicted, other} {
		s.ends[end] = s.with(endKey.String(end))
	}
	if c.tracers != nil {
		s.tracer = c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	}
	m := newMeter(c, func() *sessions { return s })
	m.upDown("sse.server.active_sessions", "{session}", "Sessions whose response has begun and has not ended.",
		func(s *sessions) int64 { return s.opened.Load() - s.closed.Load() })
	m.counter("sse.server.sessions", "{session}", "Sessions whose response has begun.",
		func(s *sessions) int64 { return s.opened.Load() })
	m.counter("sse.server.events", "{event}", "Events that were written.",
		func(s *sessions) int64 { return s.events.Load() })
	m.counter("sse.server.sent", "By", "Bytes of streams that were written, with heartbeats.",
		func(s *sessions) int64 { return s.bytes.Load() })
	m.counter("sse.server.heartbeats", "{heartbeat}", "Heartbeats that were written.",
		func(s *sessions) int64 { return s.heartbeats.Load() })
	m.counter("sse.server.writes", "{write}", "Writes, each with one event or several, or a part of one.",
		func(s *sessions) int64 { return s.writes.Load() })
	m.seconds("sse.server.write.time", "Time that writes have taken in all.",
		func(s *sessions) time.Duration { return time.Duration(s.writeTime.Load()) })
	m.observe()
	s.duration = m.histogram("sse.server.session.duration", "How long sessions lasted that have ended.", sessionBuckets)
	if c.histogram {
		s.writeDuration = m.histogram("sse.server.write.duration", "How long each write took.", writeBuckets)
	}
	s.refusals = m.direct("sse.server.refusals", "{request}", "Requests whose stream was refused.")
	return s
}

// with returns the option for a record with these attributes besides those of all.
func (s *sessions) with(attributes ...attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{s.config.with(attributes...)}
}

func (s *sessions) observer() core.Observer {
	return core.Observer{
		Refused: s.refused,
		Opened:  func(context.Context) { s.opened.Add(1) },
		Wrote:   s.wrote,
		Closed:  s.ended,
	}
}

func (s *sessions) wrote(ctx context.Context, w core.Write) {
	s.writes.Add(1)
	s.bytes.Add(int64(w.Bytes))
	s.writeTime.Add(int64(w.Duration))
	if w.Events > 0 {
		s.events.Add(int64(w.Events))
	}
	if w.Heartbeat {
		s.heartbeats.Add(1)
	}
	if s.writeDuration != nil {
		s.writeDuration.Record(ctx, w.Duration.Seconds(), s.always...)
	}
}

func (s *sessions) refused(ctx context.Context, err *core.RefusedError) {
	why := "other"
	switch {
	case errors.Is(err, core.ErrGroupFull):
		why = "group_full"
	case errors.Is(err, core.ErrKeyFull):
		why = "key_full"
	case errors.Is(err, core.ErrRate):
		why = "rate"
	case errors.Is(err, core.ErrExpired):
		why = expired
	case errors.Is(err, core.ErrShutdown):
		why = shutdown
	}
	s.refusals.Add(ctx, 1, s.config.with(semconv.HTTPResponseStatusCode(err.Status), refusalKey.String(why)))
}

// endOf returns how a session has ended, for the attribute sse.end.
func endOf(end core.Summary) string {
	switch cause := end.Cause; {
	case cause == nil && end.Err == nil:
		return finished
	case cause == nil:
		return failed
	case errors.Is(cause, core.ErrClientGone):
		return clientGone
	case errors.Is(cause, core.ErrSlowClient):
		return slowClient
	case errors.Is(cause, core.ErrMaxDuration):
		return maxDuration
	case errors.Is(cause, core.ErrShutdown):
		return shutdown
	case errors.Is(cause, core.ErrExpired):
		return expired
	case errors.Is(cause, core.ErrEvicted):
		return evicted
	default:
		return other
	}
}

func (s *sessions) ended(ctx context.Context, sum core.Summary) {
	s.closed.Add(1)
	end := endOf(sum)
	record, ok := s.ends[end]
	if !ok {
		record = s.with(endKey.String(end), errorType(sum.Err))
	}
	s.duration.Record(ctx, sum.Duration.Seconds(), record...)
	if s.tracer != nil {
		s.span(ctx, sum, end)
	}
}

// errorType is semconv's for an error of the application, whose methods may panic.
func errorType(err error) (a attribute.KeyValue) {
	defer func() {
		if recover() != nil {
			a = semconv.ErrorTypeOther
		}
	}()
	var failure interface{ Original() error }
	if errors.As(err, &failure) { // of a hub that has finished, a run or a state
		err = failure.Original()
	}
	return semconv.ErrorType(err)
}

// span makes the span of a session that has ended.
func (s *sessions) span(ctx context.Context, sum core.Summary, end string) {
	now := time.Now()
	all := attribute.NewSet(append(attributesOf(core.RequestOf(ctx)), s.config.attributes...)...) // the last of a key counts
	opts := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(now.Add(-sum.Duration)),
		trace.WithAttributes(all.ToSlice()...),
		trace.WithAttributes(endKey.String(end), attribute.Int("sse.events", sum.Events), attribute.Int64("sse.sent", sum.Bytes)),
	}
	if request := trace.SpanContextFromContext(ctx); request.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: request}))
	}
	name := "sse"
	if route, ok := all.Value(semconv.HTTPRouteKey); ok {
		name = "sse " + route.AsString()
	}
	_, span := s.tracer.Start(context.WithoutCancel(ctx), name, opts...)
	if end == failed {
		span.SetStatus(codes.Error, fmt.Sprint(sum.Err))
		span.SetAttributes(errorType(sum.Err))
	}
	span.End(trace.WithTimestamp(now))
}

// attributesOf returns what the span of a session says of its request.
func attributesOf(r core.Request) []attribute.KeyValue {
	a := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(r.Method), semconv.URLPath(r.Path)}
	if r.Route != "" {
		a = append(a, semconv.HTTPRoute(r.Route))
	}
	return a
}
