package core

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// A Stream is a sequence of events. A non-nil error is its last element, and the event
// that comes with it is ignored.
//
// A stream that a view returns is run once, in the handler's goroutine or in another one
// in its place. It must return when yield returns false, and soon after its context ends.
type Stream = iter.Seq2[Event, error]

// EncodeJSON yields an event for each value of seq. Its Type is typ and its Data is the
// value's JSON. The first error, of seq or of the encoder, ends the stream.
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

// DecodeJSON undoes [EncodeJSON]: it yields each event's Data, read as the JSON of a T.
// The first error, of s or of the decoder, is the last element. DecodeJSON ignores the
// Type of an event; filter the stream first if it matters. It skips events without data,
// such as a comment, or an event that only sets an ID.
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

// Then yields the events of s and then those of last, such as the [DONE] that some clients
// wait for. After an error of s it yields nothing, so that a part does not look like the
// whole.
//
// For Then, a stream that returns without an error is whole. So one that returns early,
// because its context has ended, as a loop over [Every] or [Receive] does, should yield
// [context.Cause] of that context. Nothing is sent after the end of a session or a run, in
// either case; but a context of your own, such as a deadline for the source, may end alone.
//
// A subscription that a view returns as it is needs no goroutine while it waits; inside Then
// it does. s must not be nil.
func Then(s Stream, last ...Event) Stream {
	return func(yield func(Event, error) bool) {
		for e, err := range s {
			if !yield(e, err) || err != nil {
				return
			}
		}
		for _, e := range last {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Every yields the time every d, for the first time after d, until ctx ends. Ticks that a
// slow loop misses are dropped. If d is not positive, Every only waits until ctx ends,
// like [time.Tick], which then never ticks.
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

// Receive yields the values from ch until ch is closed or ctx ends. If ctx has ended, it
// does not yield a value even if there is one.
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
