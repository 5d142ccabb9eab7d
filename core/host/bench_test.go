package host_test

import (
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A sink accepts everything.
type sink struct{}

func (sink) Send(host.Frames) error { return nil }
func (sink) End() error             { return nil }
func (sink) Abort()                 {}

// What an event costs its session: each is flushed, or thousands share a flush.
func BenchmarkEvent(b *testing.B) {
	for name, window := range map[string]time.Duration{"flushed": 0, "gathered": time.Hour} {
		b.Run(name, func(b *testing.B) {
			s, err := host.NewSession(b.Context(), core.Request{}, core.WithFlushWindow(window))
			if err != nil {
				b.Fatal(err)
			}
			e := core.Event{Type: "price", Data: `{"symbol":"ACME","price":101.5}`}
			b.ReportAllocs()
			_ = s.Serve(sink{}, func(yield func(core.Event, error) bool) {
				for b.Loop() {
					yield(e, nil)
				}
			})
		})
	}
}

// What a session costs that sends one event.
func BenchmarkSession(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s, err := host.NewSession(b.Context(), core.Request{})
		if err != nil {
			b.Fatal(err)
		}
		_ = s.Serve(sink{}, func(yield func(core.Event, error) bool) { yield(core.Event{Data: "x"}, nil) })
	}
}
