package server

import (
	"context"
	"strconv"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// burst returns the stream of Each and Gathered.
func burst(query string) core.Stream {
	n := number(query)
	if strings.HasSuffix(query, "&ready=true") {
		return ready(n)
	}
	return func(yield func(core.Event, error) bool) {
		for id := firstID; id < firstID+n; id++ {
			if !yield(core.Event{ID: strconv.Itoa(id), Type: eventType, Data: data}, nil) {
				return
			}
		}
	}
}

// ready returns the stream of Ready. All its IDs are in one string.
func ready(n int) core.Stream {
	const digits = 6
	ids := make([]byte, 0, n*digits)
	for i := range n {
		ids = strconv.AppendInt(ids, int64(firstID+i), 10)
	}
	all := string(ids)
	return func(yield func(core.Event, error) bool) {
		for i := range n {
			if !yield(core.Event{ID: all[i*digits : (i+1)*digits], Type: eventType, Data: data}, nil) {
				return
			}
		}
	}
}

// idle returns the stream of Idle.
func idle(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		if yield(core.Event{ID: strconv.Itoa(firstID), Type: eventType, Data: data}, nil) {
			<-ctx.Done()
		}
	}
}

// encode encodes n events, one after another, into the same buffer.
func encode(n int) (int, error) {
	var b []byte
	for i := range n {
		var err error
		if b, err = (core.Event{ID: strconv.Itoa(firstID + i), Type: eventType, Data: data}).AppendText(b[:0]); err != nil {
			return i, err
		}
	}
	return n, nil
}

// parse parses a stream with core.Read.
func parse(stream string) (events int, err error) {
	for e, err := range core.Read(strings.NewReader(stream)) {
		if err != nil {
			return events, err
		}
		if e.Data == data {
			events++
		}
	}
	return events, nil
}
