package main

import (
	"testing"
	"time"
)

func TestTimeFields(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	for _, c := range []struct {
		name  string
		field timeFields
		data  string
		want  time.Time // zero for none
	}{
		{"RFC 3339", "", "2025-01-02T03:04:05.678Z", at},
		{"with an offset", "", "2025-01-02T05:04:05.678+02:00", at},
		{"a JSON string", "", `"2025-01-02T03:04:05.678Z"`, at},
		{"seconds", "", "1735787045", at.Truncate(time.Second)},
		{"seconds with a fraction", "", "1735787045.678", at},
		{"milliseconds", "", "1735787045678", at},
		{"microseconds", "", "1735787045678000", at},
		{"nanoseconds", "", "1735787045678000000", at},
		{"time", "", `{"a": 1, "time": 1735787045678}`, at},
		{"ts", "", `{"ts": "2025-01-02T03:04:05.678Z"}`, at},
		{"timestamp", "", `{"timestamp": "1735787045678"}`, at},
		{"the second of them", "", `{"time": null, "ts": 1735787045678}`, at},
		{"a name", "sent", `{"time": 1, "sent": 1735787045678}`, at},

		{"nothing", "", "", time.Time{}},
		{"text", "", "hello", time.Time{}},
		{"a small number", "", "42", time.Time{}},
		{"between the units", "", "500000000000", time.Time{}},
		{"below zero", "", "-1735787045", time.Time{}},
		{"not a number", "", "NaN", time.Time{}},
		{"another name", "sent", `{"time": 1735787045678}`, time.Time{}},
		{"a name, and no object", "sent", "1735787045678", time.Time{}},
		{"a deeper one", "", `{"a": {"time": 1735787045678}}`, time.Time{}},
		{"an object as the time", "", `{"time": {}}`, time.Time{}},
		{"half an object", "", `{"time": 1735787045678`, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := c.field.of(c.data)
			equal(t, "found", ok, !c.want.IsZero())
			if d := got.Sub(c.want); ok && d.Abs() > time.Microsecond {
				t.Errorf("got %v, want %v", got.UTC(), c.want)
			}
		})
	}
}
