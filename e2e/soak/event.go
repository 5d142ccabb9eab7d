package main

import (
	"strconv"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// topics are what is published. Each has events with the numbers from 1 on.
var topics = []string{"a", "b", "c", "d"}

// eventOf returns the event with a number. A reader knows each byte of it in advance.
func eventOf(n int64) core.Event {
	size := n * 7919 % 2000
	if n%200 == 0 {
		size = 300_000 // more than one write
	}
	number := strconv.FormatInt(n, 10)
	return core.Event{Type: "number", Data: number + strings.Repeat(" "+number, int(size)/(1+len(number)))}
}

// numberOf is the inverse of eventOf. It reports false for any other event.
func numberOf(e core.Event) (n int64, ok bool) {
	number, _, _ := strings.Cut(e.Data, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	want := eventOf(n)
	return n, err == nil && e.Type == want.Type && e.Data == want.Data
}
