package hosttest

import (
	"flag"
	"testing"
)

func TestRounds(t *testing.T) {
	for _, test := range []struct {
		ci, short string
		want      [4]int // of 0, 1, 30 and 100
	}{
		{"true", "false", [4]int{0, 1, 30, 100}},
		{"", "false", [4]int{0, 1, 10, 34}},
		{"true", "true", [4]int{0, 1, 3, 10}},
		{"", "true", [4]int{0, 1, 3, 10}},
	} {
		t.Run("CI "+test.ci+" short "+test.short, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			short := flag.Lookup("test.short").Value
			before := short.String()
			defer func() { _ = short.Set(before) }()
			_ = short.Set(test.short)
			if got := [4]int{Rounds(0), Rounds(1), Rounds(30), Rounds(100)}; got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
