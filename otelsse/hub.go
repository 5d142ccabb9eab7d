package otelsse

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
)

// Hub reports a hub, until stop is called. If there are several hubs, give each a name with
// [WithAttributes], because metrics with the same attributes are added up. A hub without a
// Log has no metrics of one.
//
// If an instrument cannot be made, the error goes to [go.opentelemetry.io/otel.Handle].
func Hub(h *hub.Hub, opts ...Option) (stop func()) {
	m := newMeter(newConfig(opts), h.Stats)
	m.counter("sse.hub.published", "{event}", "Events that this process has published.",
		func(s hub.Stats) int64 { return s.Published })
	m.counter("sse.hub.delivered", "{event}", "Events that subscriptions have taken, once for each of them.",
		func(s hub.Stats) int64 { return s.Delivered })
	m.counter("sse.hub.replaced", "{event}", "Events that a later one of their key has replaced.",
		func(s hub.Stats) int64 { return s.Replaced })
	m.counter("sse.hub.dropped", "{event}", "Events that left the memory because of one of its bounds.",
		func(s hub.Stats) int64 { return s.Dropped })
	m.counters("sse.hub.gaps", "{gap}", "How often a subscription has missed events.", "sse.gap.reason",
		func(s hub.Stats) map[string]int64 {
			gaps := make(map[string]int64, len(s.Gaps))
			for reason, n := range s.Gaps {
				gaps[string(reason)] = n
			}
			return gaps
		})
	m.upDown("sse.hub.subscriptions", "{subscription}", "Subscriptions that run.",
		func(s hub.Stats) int64 { return int64(s.Subscriptions) })
	m.upDown("sse.hub.topics", "{topic}", "Topics that hold events or have subscriptions.",
		func(s hub.Stats) int64 { return int64(s.Topics) })
	m.upDown("sse.hub.patterns", "{pattern}", "Patterns that have subscriptions.",
		func(s hub.Stats) int64 { return int64(s.Patterns) })
	m.upDown("sse.hub.held", "{event}", "Events in memory.",
		func(s hub.Stats) int64 { return int64(s.Events) })
	m.upDown("sse.hub.size", "By", "Size of the events in memory.",
		func(s hub.Stats) int64 { return int64(s.Bytes) })
	if h.Stats().Log != nil {
		observeLog(m)
	}
	return m.observe()
}

func observeLog(m *meter[hub.Stats]) {
	m.upDown("sse.hub.log.healthy", "{log}", "1 if events come from the log, 0 if they are late or do not come.",
		func(s hub.Stats) int64 {
			if s.Err != nil {
				return 0
			}
			return 1
		})
	m.gauge("sse.hub.log.lag", "Age of the last event when it came from the log, by the clocks of two machines.",
		func(s hub.Stats) time.Duration { return s.Log.Lag })
	m.gauge("sse.hub.log.silence", "How long the log has said nothing.",
		func(s hub.Stats) time.Duration { return s.Log.Silent })
	m.counter("sse.hub.log.events", "{event}", "Events that have come from the log.",
		func(s hub.Stats) int64 { return s.Log.Events })
	m.counter("sse.hub.log.received", "By", "Size of the events that have come from the log.",
		func(s hub.Stats) int64 { return s.Log.Bytes })
	m.counter("sse.hub.log.reconnections", "{reconnection}", "How often following the log has failed.",
		func(s hub.Stats) int64 { return s.Log.Reconnects })
	m.counter("sse.hub.log.gaps", "{gap}", "How often the log had dropped events before they came.",
		func(s hub.Stats) int64 { return s.Log.Gaps })
	m.counter("sse.hub.log.skipped", "{entry}", "Entries of other programs that were not sent.",
		func(s hub.Stats) int64 { return s.Log.Skipped })
}

// Runner reports the runs of this process, until stop is called. If there are several runners,
// give each a name with [WithAttributes].
//
// If an instrument cannot be made, the error goes to [go.opentelemetry.io/otel.Handle].
func Runner(r *run.Runner, opts ...Option) (stop func()) {
	m := newMeter(newConfig(opts), r.Stats)
	m.upDown("sse.run.active", "{run}", "Runs whose generators have not returned.",
		func(s run.Stats) int64 { return int64(s.Running) })
	m.upDown("sse.run.held", "{run}", "Runs that are held, also those that are active.",
		func(s run.Stats) int64 { return int64(s.Held) })
	m.upDown("sse.run.size", "By", "Size of all runs that are held.",
		func(s run.Stats) int64 { return s.Bytes })
	m.counter("sse.run.started", "{run}", "Runs that have begun.",
		func(s run.Stats) int64 { return s.Started })
	m.counters("sse.run.ended", "{run}", "Runs that have ended.", attribute.Key("sse.run.end"),
		func(s run.Stats) map[string]int64 {
			ended := make(map[string]int64, len(s.Ended))
			for outcome, n := range s.Ended {
				ended[strings.ReplaceAll(string(outcome), " ", "_")] = n
			}
			return ended
		})
	return m.observe()
}
