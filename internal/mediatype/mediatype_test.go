package mediatype_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/mediatype"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
		n      int
	}{
		{nil, "", 0},
		{[]string{""}, "", 0},
		{[]string{"text/event-stream"}, "text/event-stream", 1},
		{[]string{" Text/Event-Stream ; charset=UTF-8"}, "text/event-stream", 1},
		{[]string{"text/html", "text/event-stream"}, "text/event-stream", 2},
		{[]string{"text/event-stream, text/html; charset=utf-8"}, "text/html", 2},
		{[]string{"text/event-stream", "*/*", "none", "a/b/c", "/", "text/", "a b/c"}, "text/event-stream", 1},
		{[]string{`text/event-stream; x="a,text/html,b"`}, "text/event-stream", 1},
		{[]string{`text/event-stream; x="a\",text/html,b"`}, "text/event-stream", 1},
		{[]string{`text/html; x="y`, "text/event-stream"}, "text/html", 1},
		{[]string{`text/html; x="\`}, "text/html", 1},
		{[]string{"text/event-stream; charset=a; charset=b"}, "text/event-stream", 1},
	} {
		if got, n := mediatype.Of(tt.values); got != tt.want || n != tt.n {
			t.Errorf("%q: got %q, %d, want %q, %d", tt.values, got, n, tt.want, tt.n)
		}
	}
}
