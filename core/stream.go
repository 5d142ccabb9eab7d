package core

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// A Stream is a sequence of events. A non-nil error is its last element, and
// the event beside it does not count.
//
// A stream that a view returns is run once, in the handler's goroutine or in one
// that stands for it. It must return when yield does, or soon after its context
// ends.
type Stream = iter.Seq2[Event, error]

// EncodeJSON makes an event of each value of seq: its Type is typ, its Data the
// value's JSON. The first error, the sequence's or the encoder's, ends the
// stream.
func EncodeJSON[T any](typ string, seq iter.Seq2[T, error]) Stream {
	return func(yield func(Event, error) bool) {
		for v, err := range seq {
			var e Event
			if err == nil {
				e, err = Event{Type: typ}.JSON(v)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// DecodeJSON undoes [EncodeJSON]: each event's Data is read as the JSON of a T. The
// first error, the stream's or the decoder's, is the last element. An event's
// Type does not matter; filter the stream first if it does. An event without
// data has no value and is passed over: a comment, say, or one that only sets an
// ID.
func DecodeJSON[T any](s Stream) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for e, err := range s {
			if err == nil && e.Data == "" {
				continue
			}
			var v, zero T
			if err == nil {
				if err = json.Unmarshal([]byte(e.Data), &v); err != nil {
					v, err = zero, fmt.Errorf("core: data of event %q (type %q) is not a %T: %w", e.ID, e.Type, zero, err)
				}
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Every yields the time each d, first after d, until ctx ends. Ticks that a slow
// loop misses are dropped. Like [time.Tick], it never ticks if d is not
// positive, and just waits for the end.
func Every(ctx context.Context, d time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		if d <= 0 {
			<-ctx.Done()
			return
		}
		t := time.NewTicker(d)
		defer t.Stop()
		Receive(ctx, t.C)(yield)
	}
}

// Receive yields what comes through ch until ch is closed or ctx ends. Of a
// value and the end of ctx at the same time, the end wins.
func Receive[T any](ctx context.Context, ch <-chan T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case v, ok := <-ch:
				if !ok || ctx.Err() != nil || !yield(v) {
					return
				}
			}
		}
	}
}
