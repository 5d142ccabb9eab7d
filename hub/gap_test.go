package hub_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/hub"
)

// A gap event tells a stranger only what it has sent and how far it has come: no data, and
// no topic, not even of a pattern.
func TestGapEventSaysNoMore(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(1))
	begin := h.LastID()
	publishAll(t, h, "orders.alice", "secret kept")
	publish(t, h, "orders.bob", "kept")
	for _, tt := range []struct {
		after string
		want  hub.GapReason
	}{{begin, hub.GapDropped}, {hub.New().LastID(), hub.GapRestarted}, {"\"made up\"", hub.GapUnknown}} {
		e := read(t, h.SubscribeFrom(soon(t), hub.After(tt.after), "orders.*")).event()
		var said map[string]string
		if err := json.Unmarshal([]byte(e.Data), &said); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(said)); !slices.Equal(got, []string{"after", "reason", "through"}) {
			t.Errorf("%s: got the fields %q", tt.want, got)
		}
		if said["after"] != tt.after || said["reason"] != string(tt.want) || said["through"] != e.ID {
			t.Errorf("got %v, want the reason %s after %q", said, tt.want, tt.after)
		}
		if _, through, ok := strings.Cut(e.ID, "-"); !ok || strings.Trim(through, "0123456789") != "" {
			t.Errorf("%s: got the ID %q, want an epoch and a number", tt.want, e.ID)
		}
	}
}
