package words_test

import (
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 events", 1: "1 event", 2: "2 events"} {
		if got := words.Count(n, "event"); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{999, "999ns"},
		{1234, "1.23\u00b5s"},
		{123_456, "123\u00b5s"},
		{1_234_567, "1.23ms"},
		{99_960_000, "100ms"},
		{999_900_000, "1s"},
		{20*time.Second + 3*time.Millisecond, "20s"},
		{61*time.Second + 260*time.Millisecond, "1m1.3s"},
		{time.Hour + time.Second + time.Millisecond, "1h0m1s"},
	} {
		if got := words.Duration(c.d); got != c.want {
			t.Errorf("%d ns: got %q, want %q", c.d, got, c.want)
		}
	}
}
