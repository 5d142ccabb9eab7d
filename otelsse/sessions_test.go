package otelsse_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/otelsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// streams are what the views of a test return, by the request's path.
var streams = map[string]func(ctx context.Context) core.Stream{
	"/three": func(context.Context) core.Stream {
		return hosttest.Events("1", "2", "3")
	},
	"/fails": func(context.Context) core.Stream { return hosttest.Fail(errors.New("no more")) },
	"/finished": func(ctx context.Context) core.Stream { // the type of the error is the application's, too
		h := hub.New()
		_ = h.Finish(errors.New("no more"))
		return h.Subscribe(ctx, "a")
	},
	"/waits": func(ctx context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "first"}, nil) {
				<-ctx.Done()
			}
		}
	},
	"/refuses": func(ctx context.Context) core.Stream {
		core.Refuse(ctx, &core.RefusedError{Status: 429, Err: errors.New("too many")})
		return func(func(core.Event, error) bool) {}
	},
}

// hosts serve streams with options.
var hosts = map[string]func(opts ...core.Option) http.Handler{
	"net/http": func(opts ...core.Option) http.Handler {
		return nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return streams[r.URL.Path](r.Context())
		}, opts...)
	},
	"gin": func(opts ...core.Option) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		for path, stream := range streams {
			r.GET(path, ginsse.Handler(func(c *gin.Context) core.Stream { return stream(c.Request.Context()) }, opts...))
		}
		return r
	},
	"net/http, detached": func(opts ...core.Option) http.Handler {
		return nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return streams[r.URL.Path](r.Context())
		}, append(opts, core.WithDetach())...)
	},
}

func TestSessions(t *testing.T) {
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) {
			r := newReading(t)
			group := new(core.Group)
			url := ssetest.Serve(t, host(otelsse.Sessions(r.to, otelsse.WithRoute("/stream"), otelsse.WithWriteDuration()),
				core.WithGroup(group), core.WithHeartbeat(time.Hour)))
			r.want(map[string]float64{
				"sse.server.active_sessions{http.route=/stream}": 0,
				"sse.server.events{http.route=/stream}":          0,
			})
			waits := ssetest.Open(t, url+"/waits")
			waits.Next()
			r.eventually(map[string]float64{
				"sse.server.active_sessions{http.route=/stream}": 1,
				"sse.server.sessions{http.route=/stream}":        1,
				"sse.server.events{http.route=/stream}":          1,
			})
			waits.Close()
			if got := ssetest.Open(t, url+"/three").Collect(3); len(got) != 3 {
				t.Errorf("got %d events", len(got))
			}
			_, _ = ssetest.Open(t, url+"/fails").Rest()
			_, _ = ssetest.Open(t, url+"/finished").Rest()
			refused := ssetest.Request{URL: url + "/refuses"}.Open(t)
			refused.Body()
			r.eventually(map[string]float64{
				"sse.server.active_sessions{http.route=/stream}":                                                0,
				"sse.server.sessions{http.route=/stream}":                                                       4,
				"sse.server.heartbeats{http.route=/stream}":                                                     0,
				"sse.server.session.duration{http.route=/stream,sse.end=client_gone}":                           1,
				"sse.server.session.duration{http.route=/stream,sse.end=finished}":                              1,
				"sse.server.session.duration{error.type=*errors.errorString,http.route=/stream,sse.end=failed}": 2,
				"sse.server.refusals{http.response.status_code=429,http.route=/stream,sse.refusal=other}":       1,
			})
			got, units := r.all()
			const of = "{http.route=/stream}"
			writes := got["sse.server.writes"+of]
			if writes < 6 || got["sse.server.write.duration"+of] != writes || got["sse.server.write.time"+of] <= 0 {
				t.Errorf("got %v writes in %v s, and %v in the histogram, want at least 6, the same in both",
					writes, got["sse.server.write.time"+of], got["sse.server.write.duration"+of])
			}
			if sent := got["sse.server.sent"+of]; sent < float64(len(": open\n\n")*3+len("data: 1\n\n")*3+len("data: first\n\n")) {
				t.Errorf("got %v bytes", sent)
			}
			if units["sse.server.sent"] != "By" || units["sse.server.session.duration"] != "s" {
				t.Errorf("got the units %v", units)
			}
			if err := group.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			ssetest.Request{URL: url + "/three"}.Open(t).Body()
			r.want(map[string]float64{
				"sse.server.refusals{http.response.status_code=503,http.route=/stream,sse.refusal=shutdown}": 1,
			})
		})
	}
}

// Handlers with the same attributes are added up.
func TestSessionsOfSeveralHandlers(t *testing.T) {
	r := newReading(t)
	one, two := hosts["net/http"](otelsse.Sessions(r.to)), hosts["net/http"](otelsse.Sessions(r.to))
	for _, host := range []http.Handler{one, two, two} {
		ssetest.Open(t, ssetest.Serve(t, host)+"/three").All()
	}
	r.eventually(map[string]float64{"sse.server.sessions{}": 3, "sse.server.events{}": 9, "sse.server.active_sessions{}": 0})
}

// The span of a stream is made at its end, from its beginning, with a link to the request's.
func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	r := newReading(t)
	h := hosts["gin"](otelsse.Sessions(r.to, otelsse.WithTracerProvider(tracers)))
	var request trace.SpanContext
	url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracers.Tracer("test").Start(r.Context(), "request")
		defer span.End()
		request = span.SpanContext()
		h.ServeHTTP(w, r.WithContext(ctx))
	}))
	for path, wantCode := range map[string]codes.Code{"/three": codes.Unset, "/fails": codes.Error} {
		before := len(spans.Ended())
		_, _ = ssetest.Open(t, url+path).Rest()
		hosttest.Eventually(t, "both spans have ended", func() bool { return len(spans.Ended()) == before+2 })
		span := spans.Ended()[before]
		if got, want := span.Name(), "sse "+path; got != want {
			t.Errorf("got the name %q, want %q", got, want)
		}
		attributes := attribute.NewSet(span.Attributes()...)
		for key, want := range map[attribute.Key]string{"http.request.method": "GET", "url.path": path, "http.route": path} {
			if got, _ := attributes.Value(key); got.AsString() != want {
				t.Errorf("%s: got %s %q, want %q", path, key, got.AsString(), want)
			}
		}
		links := span.Links()
		if len(links) != 1 || links[0].SpanContext.SpanID() != request.SpanID() || span.Parent().IsValid() {
			t.Errorf("%s: got the links %v and the parent %v, want a link to the request's span and no parent", path, links, span.Parent())
		}
		if got := span.Status().Code; got != wantCode {
			t.Errorf("%s: got the status %v, want %v", path, got, wantCode)
		}
		if took := span.EndTime().Sub(span.StartTime()); took <= 0 || took > time.Minute {
			t.Errorf("%s: got a span of %v", path, took)
		}
	}
}

// WithRoute counts more than the route that the framework knows.
func TestSpanWithRoute(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	h := hosts["gin"](otelsse.Sessions(newReading(t).to, otelsse.WithTracerProvider(tracers), otelsse.WithRoute("/all")))
	ssetest.Open(t, ssetest.Serve(t, h)+"/three").All()
	hosttest.Eventually(t, "the span has ended", func() bool { return len(spans.Ended()) == 1 })
	if got, want := spans.Ended()[0].Name(), "sse /all"; got != want {
		t.Errorf("got the name %q, want %q", got, want)
	}
}

// Each way in which a session ends has a name.
func TestEnds(t *testing.T) {
	r := newReading(t)
	want := make(map[string]float64)
	for end, cause := range map[string]error{
		"client_gone": core.ErrClientGone, "slow_client": core.ErrSlowClient, "max_duration": core.ErrMaxDuration,
		"shutdown": core.ErrShutdown, "expired": core.ErrExpired, "evicted": core.ErrEvicted, "other": errors.New("banned"),
	} {
		g := &core.Group{Key: func(context.Context) string { return "ann" }}
		s, _ := session(t, otelsse.Sessions(r.to), core.WithGroup(g))
		if err := s.Serve(nowhere{}, func(func(core.Event, error) bool) { g.End("ann", cause) }); err != nil {
			t.Error(err)
		}
		want["sse.server.session.duration{sse.end="+end+"}"] = 1
	}
	r.want(want)
}

// Each reason for which a request is refused has a name.
func TestRefusals(t *testing.T) {
	key := func(context.Context) string { return "ann" }
	past := func(context.Context) time.Time { return time.Now().Add(-time.Hour) }
	for want, opt := range map[string]core.Option{
		"http.response.status_code=503,sse.refusal=group_full": core.WithGroup(&core.Group{Limit: 1}),
		"http.response.status_code=429,sse.refusal=key_full":   core.WithGroup(&core.Group{Key: key, KeyLimit: 1}),
		"http.response.status_code=503,sse.refusal=rate":       core.WithGroup(&core.Group{Rate: 1}),
		"http.response.status_code=401,sse.refusal=expired":    core.WithExpiry(past),
	} {
		synctest.Test(t, func(t *testing.T) { // at the same moment, because of the rate
			r := newReading(t)
			for range 2 {
				if s, err := host.NewSession(t.Context(), core.Request{}, otelsse.Sessions(r.to), opt); err == nil {
					defer s.Close(nil)
				}
			}
			n := 1.0
			if strings.HasSuffix(want, "expired") { // both were
				n = 2
			}
			r.want(map[string]float64{"sse.server.refusals{" + want + "}": n})
		})
	}
}

// A nowhere accepts everything.
type nowhere struct{}

func (nowhere) Send(host.Frames) error { return nil }
func (nowhere) End() error             { return nil }
func (nowhere) Abort()                 {}

func session(t testing.TB, opts ...core.Option) (s *host.Session, e core.Event) {
	t.Helper()
	s, err := host.NewSession(t.Context(), core.Request{}, append(opts, core.WithFlushWindow(0))...)
	if err != nil {
		t.Fatal(err)
	}
	return s, core.Event{Type: "price", Data: `{"symbol":"ACME","price":101.5}`}
}

// A write allocates nothing, whatever is reported.
func TestWriteAllocs(t *testing.T) {
	for name, opts := range map[string][]otelsse.Option{"counters": nil, "histogram": {otelsse.WithWriteDuration()}} {
		s, e := session(t, otelsse.Sessions(append(opts, newReading(t).to, otelsse.WithRoute("/stream"))...))
		_ = s.Serve(nowhere{}, func(yield func(core.Event, error) bool) {
			if got := testing.AllocsPerRun(1000, func() { yield(e, nil) }); got >= 1 {
				t.Errorf("%s: a write allocates %v times, want 0", name, got)
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, bb := range []struct {
		name string
		opts func() []core.Option
	}{
		{"nobody", func() []core.Option { return nil }},
		{"counters", func() []core.Option {
			return []core.Option{otelsse.Sessions(newReading(b).to, otelsse.WithRoute("/stream"))}
		}},
		{"histogram", func() []core.Option {
			return []core.Option{otelsse.Sessions(newReading(b).to, otelsse.WithRoute("/stream"), otelsse.WithWriteDuration())}
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s, e := session(b, bb.opts()...)
			b.ReportAllocs()
			_ = s.Serve(nowhere{}, func(yield func(core.Event, error) bool) {
				for b.Loop() {
					yield(e, nil)
				}
			})
		})
	}
}
