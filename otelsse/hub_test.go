package otelsse_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/otelsse"
	"github.com/yieldsse/yieldsse/run"
)

func TestHub(t *testing.T) {
	r := newReading(t)
	h := hub.New(hub.WithMaxEvents(2))
	stop := otelsse.Hub(h, r.to, otelsse.WithAttributes(attribute.String("sse.hub.name", "prices")))
	for range 3 {
		if _, err := h.Publish(t.Context(), "a", core.Event{Data: "x"}, hub.WithKey("k")); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Publish(t.Context(), "b", core.Event{Data: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range h.SubscribeFrom(t.Context(), hub.After("strange"), ">") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	for _, err := range h.SubscribeFrom(t.Context(), hub.Oldest, "a") {
		if err != nil {
			t.Error(err)
		}
		r.want(map[string]float64{"sse.hub.subscriptions{sse.hub.name=prices}": 1})
		break
	}
	r.want(map[string]float64{
		"sse.hub.published{sse.hub.name=prices}":                   6,
		"sse.hub.replaced{sse.hub.name=prices}":                    2,
		"sse.hub.dropped{sse.hub.name=prices}":                     2,
		"sse.hub.delivered{sse.hub.name=prices}":                   1,
		"sse.hub.gaps{sse.gap.reason=unknown,sse.hub.name=prices}": 1,
		"sse.hub.gaps{sse.gap.reason=dropped,sse.hub.name=prices}": 0,
		"sse.hub.subscriptions{sse.hub.name=prices}":               0,
		"sse.hub.topics{sse.hub.name=prices}":                      2,
		"sse.hub.patterns{sse.hub.name=prices}":                    0,
		"sse.hub.held{sse.hub.name=prices}":                        2,
	})
	values, units := r.all()
	if values["sse.hub.size{sse.hub.name=prices}"] <= 0 || units["sse.hub.size"] != "By" {
		t.Errorf("got %v bytes in %q", values["sse.hub.size{sse.hub.name=prices}"], units["sse.hub.size"])
	}
	if _, ok := units["sse.hub.log.lag"]; ok {
		t.Error("a hub without a log has a lag")
	}
	stop()
	if values, _ := r.all(); len(values) != 0 {
		t.Errorf("got %v after stop, want nothing", slicesOf(values))
	}
}

func TestHubWithLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReading(t)
		log := new(hubtest.MemoryLog)
		h := hub.New(hub.WithLog(log))
		defer func() { _ = h.Shutdown(context.Background()) }()
		defer otelsse.Hub(h, r.to)()
		synctest.Wait()
		if _, err := h.Publish(t.Context(), "a", core.Event{Data: "x"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.want(map[string]float64{
			"sse.hub.published{}": 1, "sse.hub.log.events{}": 1, "sse.hub.log.healthy{}": 1, "sse.hub.log.lag{}": 0,
			"sse.hub.log.gaps{}": 0, "sse.hub.log.skipped{}": 0, "sse.hub.log.reconnections{}": 0, "sse.hub.log.silence{}": 0,
		})
		log.Fail(errors.New("out of order"))
		<-time.After(time.Minute)
		values, _ := r.all()
		if values["sse.hub.log.healthy{}"] != 0 || values["sse.hub.log.reconnections{}"] == 0 || values["sse.hub.log.silence{}"] < 50 {
			t.Errorf("got %v when the log has failed", slicesOf(values))
		}
	})
}

func TestRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReading(t)
		runs := run.New()
		defer otelsse.Runner(runs, r.to)()
		runs.Start(t.Context(), "waits", func(ctx context.Context) core.Stream {
			return func(func(core.Event, error) bool) { <-ctx.Done() }
		})
		runs.Start(t.Context(), "ends", func(context.Context) core.Stream { return func(func(core.Event, error) bool) {} })
		synctest.Wait()
		r.want(map[string]float64{
			"sse.run.started{}": 2, "sse.run.active{}": 1, "sse.run.held{}": 2,
			"sse.run.ended{sse.run.end=returned}": 1, "sse.run.ended{sse.run.end=shut_down}": 0, "sse.run.ended{sse.run.end=stopped}": 0,
		})
		if err := runs.Stop(t.Context(), "waits"); err != nil {
			t.Error(err)
		}
		r.want(map[string]float64{"sse.run.active{}": 0, "sse.run.ended{sse.run.end=stopped}": 1})
		<-time.After(time.Hour)
		r.want(map[string]float64{"sse.run.held{}": 0, "sse.run.size{}": 0})
	})
}
