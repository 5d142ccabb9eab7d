package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// timeFields is the name of the field with an event's time. Empty means the usual
// names, or data that is itself a time.
type timeFields string

var usualTimeFields = []string{"time", "ts", "timestamp"}

// of returns the time in data, if there is one.
func (f timeFields) of(data string) (time.Time, bool) {
	names := usualTimeFields
	if f != "" {
		names = []string{string(f)}
	}
	switch {
	case !strings.HasPrefix(data, "{"):
		if f != "" {
			return time.Time{}, false
		}
		return parseTime(strings.Trim(data, `" `))
	case !mentions(data, names):
		return time.Time{}, false // most events, at little cost
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(data), &object) != nil {
		return time.Time{}, false
	}
	for _, name := range names {
		if t, ok := parseTime(strings.Trim(string(object[name]), `"`)); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

func mentions(data string, names []string) bool {
	for _, name := range names {
		if strings.Contains(data, strconv.Quote(name)) {
			return true
		}
	}
	return false
}

// parseTime accepts text as in RFC 3339, or a number whose size determines its unit. Each
// unit covers the years from 2001 to at least 2262.
func parseTime(s string) (time.Time, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil { // it accepts fractions of a second
		return t, true
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 1e18 {
		return time.Unix(0, n), true // more digits than a float64 has
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return time.Time{}, false
	}
	switch {
	case 1e9 <= n && n < 1e11:
		return time.UnixMicro(int64(n * 1e6)), true
	case 1e12 <= n && n < 1e14:
		return time.UnixMicro(int64(n * 1e3)), true
	case 1e15 <= n && n < 1e17:
		return time.UnixMicro(int64(n)), true
	}
	return time.Time{}, false
}
