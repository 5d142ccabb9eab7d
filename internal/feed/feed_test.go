package feed_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// In a program without sessions no yield belongs to one, and none is called.
func TestOfWithoutSessions(t *testing.T) {
	for name, yield := range map[string]func(core.Event, error) bool{
		"nil":       nil,
		"a literal": func(core.Event, error) bool { t.Error("Of called yield"); return true },
	} {
		if f, ok := feed.Of(yield); ok || f != nil {
			t.Errorf("%s: got %v, want none", name, f)
		}
	}
}
