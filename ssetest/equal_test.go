package ssetest

import (
	"strconv"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

func TestEqual(t *testing.T) {
	for _, test := range []struct {
		name      string
		got, want []core.Event
		failure   string
	}{
		{"the same", numbered(1, 3), numbered(1, 3), ""},
		{"none", nil, []core.Event{}, ""},
		{
			"one differs", []core.Event{{Data: "a"}, {Data: "x", Type: "t"}, {Data: "c"}}, []core.Event{{Data: "a"}, {Data: "b"}, {Data: "c"}},
			"ssetest: got 3 events, want 3 (- want, + got):\n" +
				"  data \"a\"\n- data \"b\"\n+ type \"t\", data \"x\"\n  data \"c\"\n",
		},
		{
			"one is missing", []core.Event{{ID: "1"}, {ID: "1"}}, []core.Event{{ID: "1"}, {ID: "1"}, {ID: "1"}},
			"ssetest: got 2 events, want 3 (- want, + got):\n  id \"1\", data \"\"\n  id \"1\", data \"\"\n- id \"1\", data \"\"\n",
		},
		{
			"all fields", []core.Event{{ID: "1", Type: "t", Data: "a\nb", Retry: time.Second, Comment: "c"}}, nil,
			"ssetest: got 1 events, want 0 (- want, + got):\n" +
				"+ id \"1\", type \"t\", retry 1s, comment \"c\", data \"a\\nb\"\n",
		},
		{
			"long", append(numbered(1, 10), numbered(12, 20)...), numbered(1, 20),
			"ssetest: got 19 events, want 20 (- want, + got):\n" +
				"  ... 7 the same\n" +
				"  id \"8\", data \"\"\n  id \"9\", data \"\"\n  id \"10\", data \"\"\n" +
				"- id \"11\", data \"\"\n" +
				"  id \"12\", data \"\"\n  id \"13\", data \"\"\n  id \"14\", data \"\"\n" +
				"  ... 6 the same\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := hosttest.Failed(t, func(t testing.TB) { Equal(t, test.got, test.want) }); got != test.failure {
				t.Errorf("got failure\n%s\nwant\n%s", got, test.failure)
			}
		})
	}
}

// numbered returns the events from first to last, with their numbers as IDs.
func numbered(first, last int) []core.Event {
	var events []core.Event
	for n := first; n <= last; n++ {
		events = append(events, core.Event{ID: strconv.Itoa(n)})
	}
	return events
}
