package stats_test

import (
	"math"
	"testing"

	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   stats.Summary
	}{
		{"one", []float64{3}, stats.Summary{Median: 3, Min: 3, Max: 3}},
		{"odd", []float64{9, 1, 2}, stats.Summary{Median: 2, Min: 1, Max: 9}},
		{"even", []float64{4, 1, 2, 9}, stats.Summary{Median: 3, Min: 1, Max: 9}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := stats.Of(tt.values); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if got := stats.Of(nil); !math.IsNaN(got.Median) {
		t.Errorf("of nothing: got %+v, want NaN", got)
	}
}

func TestRatio(t *testing.T) {
	got := stats.Ratio([]float64{1, 6, 30}, []float64{2, 6, 10})
	if want := (stats.Summary{Median: 1, Min: 0.5, Max: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := got.String(), "1.00 (0.50 to 3.00)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		q    float64
		want int
	}{{0, 1}, {0.25, 1}, {0.5, 2}, {0.51, 3}, {0.99, 4}, {1, 4}} {
		if got := stats.Quantile([]int{4, 2, 1, 3}, tt.q); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.q, got, tt.want)
		}
	}
	if got := stats.Quantile[int](nil, 0.5); got != 0 {
		t.Errorf("of nothing: got %d, want 0", got)
	}
}
