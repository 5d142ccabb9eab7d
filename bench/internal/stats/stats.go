// Package stats summarizes the rounds of a measurement.
package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// A Summary has the median, the least and the greatest of some values.
type Summary struct{ Median, Min, Max float64 }

// Of summarizes values. If there are none, all results are NaN.
func Of(values []float64) Summary {
	n := len(values)
	if n == 0 {
		return Summary{math.NaN(), math.NaN(), math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	return Summary{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// Quantile returns the q-quantile of values: the least value such that a share q of them
// does not exceed it. It sorts values. If there are none, it returns zero.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	slices.Sort(values)
	var v T
	if n := len(values); n > 0 {
		v = values[min(max(int(math.Ceil(q*float64(n)))-1, 0), n-1)]
	}
	return v
}

// Ratio summarizes a[i]/b[i]: each value is compared with that of the same round, because
// the machine may be slower in the next round.
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

// short prints about three significant digits.
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
