// Package stats sums up the rounds of a measurement.
package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// A Summary is the median of some values, between the least and the greatest.
type Summary struct{ Median, Min, Max float64 }

// Of sums up values. Without any it is NaN throughout.
func Of(values []float64) Summary {
	n := len(values)
	if n == 0 {
		return Summary{math.NaN(), math.NaN(), math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	return Summary{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// Quantile returns the least of values that a part q of them does not exceed. It
// sorts them. Without any it is zero.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	slices.Sort(values)
	var v T
	if n := len(values); n > 0 {
		v = values[min(max(int(math.Ceil(q*float64(n)))-1, 0), n-1)]
	}
	return v
}

// Ratio sums up a[i]/b[i]: each round is compared with its own neighbor, for the
// machine may be slower in the next.
func Ratio(a, b []float64) Summary {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return Of(ratios)
}

func (s Summary) String() string {
	return fmt.Sprintf("%s (%s to %s)", short(s.Median), short(s.Min), short(s.Max))
}

// short prints about three digits that count.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}
