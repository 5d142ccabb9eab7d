//go:build linux

package work_test

import (
	"regexp"
	"testing"

	"github.com/yieldsse/yieldsse/bench/internal/work"
)

func TestBefore(t *testing.T) {
	for _, tt := range []struct{ last, want string }{
		{"k3x-100000", "k3x-99000"},
		{"99999", "98999"},
		{"000100000", "000099000"},
	} {
		got, err := work.Before(tt.last, 1_000)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.last, got, err, tt.want)
		}
	}
	if _, err := work.Before("none", 1); err == nil {
		t.Error("no number: got no error, want one")
	}
}

// TestAll finds mistakes in the definitions of works.
func TestAll(t *testing.T) {
	for _, quick := range []bool{true, false} {
		seen := make(map[string]bool)
		for _, w := range work.All(quick) {
			if seen[w.Name] {
				t.Errorf("there are two works named %s", w.Name)
			}
			seen[w.Name] = true
			if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(w.Name) {
				t.Errorf("%s is not a good file name", w.Name)
			}
			var base, ours int
			for _, s := range w.Sides {
				if s.Name == w.Base {
					base++
				}
				if s.Ours {
					ours++
				}
			}
			if base != 1 || ours == 0 || len(w.Metrics) == 0 || w.Rounds < 1 || w.Cost == 0 {
				t.Errorf("%s: got %d bases, %d of our sides, %d metrics, %d rounds, cost %v; want one base and none of the others 0",
					w.Name, base, ours, len(w.Metrics), w.Rounds, w.Cost)
			}
		}
	}
}
