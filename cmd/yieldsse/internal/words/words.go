// Package words formats numbers for people.
package words

import (
	"fmt"
	"time"
)

// Count returns "1 event", "2 events".
func Count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Duration returns d with three digits, or to the second if it is longer.
func Duration(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 && unit < time.Second {
		unit *= 10
	}
	return d.Round(unit).String()
}
