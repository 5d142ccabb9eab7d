package report

import (
	"fmt"
	"math"
	"strconv"
)

// A Unit is the unit of a metric.
type Unit string

// The units.
const (
	Number      Unit = ""
	Nanoseconds Unit = "ns"
	Bytes       Unit = "B"
	Percent     Unit = "%"
)

// Format prints about three significant digits.
func (u Unit) Format(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	name, divisor := u.scale(v)
	if v == 0 {
		return "0"
	}
	text := digits(v / divisor)
	if name != "" {
		text += "\u00a0" + name
	}
	return text
}

// Range prints the least and the greatest value, in the multiple of the greatest.
func (u Unit) Range(least, greatest float64) string {
	if math.IsNaN(least) {
		return "-"
	}
	_, divisor := u.scale(greatest)
	return digits(least/divisor) + " to " + digits(greatest/divisor)
}

// scale chooses the unit's multiple for v.
func (u Unit) scale(v float64) (name string, divisor float64) {
	v = math.Abs(v)
	switch {
	case u == Nanoseconds && v >= 1e9:
		return "s", 1e9
	case u == Nanoseconds && v >= 1e6:
		return "ms", 1e6
	case u == Nanoseconds && v >= 1e3:
		return "\u00b5s", 1e3
	case u == Bytes && v >= 1e6:
		return "MB", 1e6
	case u == Bytes && v >= 1e3:
		return "kB", 1e3
	default:
		return string(u), 1
	}
}

func digits(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.095:
		return fmt.Sprintf("%.2f", v)
	case a >= 0.0005:
		return fmt.Sprintf("%.3f", v)
	default:
		return "0.000"
	}
}

// Thousands prints a number with commas.
func Thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", Thousands(n/1000), n%1000)
}
