package otelsse_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/otelsse"
	"github.com/yieldsse/yieldsse/run"
)

// The table of docs/observing.md has the metrics that there are, with their units.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(sse\\.[a-z_.]+)` \\| ([a-z-]+(?: counter)?) \\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		table[row[1]] = row[3]
	}
	r := newReading(t)
	h := hub.New(hub.WithLog(new(hubtest.MemoryLog)))
	defer func() { _ = h.Shutdown(t.Context()) }()
	defer otelsse.Hub(h, r.to)()
	defer otelsse.Runner(run.New(), r.to)()
	s, e := session(t, otelsse.Sessions(r.to, otelsse.WithWriteDuration()))
	_ = s.Serve(nowhere{}, func(yield func(core.Event, error) bool) { yield(e, nil) })
	refused, _ := session(t, otelsse.Sessions(r.to))
	refused.Close(&core.RefusedError{Status: 503})
	_, units := r.all()
	for name, unit := range units {
		if table[name] != unit {
			t.Errorf("%s has the unit %q in docs/observing.md, want %q", name, table[name], unit)
		}
	}
	for name := range table {
		if units[name] == "" {
			t.Errorf("docs/observing.md has %s, which is not reported", name)
		}
	}
}
