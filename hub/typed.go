package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/yieldsse/yieldsse/core"
)

// A Topic is a topic whose events are values of one Go type:
//
//	prices := hub.Topic[Price]{Hub: room, Name: "prices"}
//
// Its methods may be called by several goroutines at once. Its fields must not be changed
// meanwhile.
type Topic[T any] struct {
	Hub  *Hub
	Name string // a pattern, if it is only for subscriptions
	Type string // of the events; by default they have none when published, and any when received

	// Encode makes an event of a value, and Decode undoes it. The default is the
	// value's JSON as data.
	Encode func(v T) (core.Event, error)
	Decode func(e core.Event) (T, error)
}

// Event returns the event that [Topic.Publish] publishes for a value. It is for [WithState].
func (t Topic[T]) Event(v T) (core.Event, error) {
	var e core.Event
	var err error
	if t.Encode != nil {
		e, err = t.Encode(v)
	} else {
		e, err = e.JSON(v)
	}
	if e.Type == "" {
		e.Type = t.Type
	}
	return e, err
}

// Publish publishes a value: see [Hub.Publish].
func (t Topic[T]) Publish(ctx context.Context, v T, opts ...PublishOption) (id string, err error) {
	e, err := t.Event(v)
	if err != nil {
		return "", fmt.Errorf("hub: publish to %q: %w", t.Name, err)
	}
	return t.Hub.Publish(ctx, t.Name, e, opts...)
}

// Stream returns the topic's events for a client: see [Hub.Subscribe]. Return it from the view
// as it is.
func (t Topic[T]) Stream(ctx context.Context, opts ...SubscribeOption) core.Stream {
	return t.Hub.SubscribeWith(ctx, []string{t.Name}, opts...)
}

// Subscribe returns the topic's values, for this process. An event that is not a T, or not of
// the topic's Type if there is one, yields an error, and a gap yields a [*GapError]; with
// [WithState] the state follows that. After such an error the values continue if the loop
// does. Any other error is the last element.
//
// The values end without an error when ctx does, and with [Hub.Kick], [Hub.Shutdown] and
// [Hub.Finish] without an error. If ctx is that of a request, its client's last event ID
// counts, as for [Hub.Subscribe].
func (t Topic[T]) Subscribe(ctx context.Context, opts ...SubscribeOption) iter.Seq2[T, error] {
	s := t.Hub.SubscribeWith(ctx, []string{t.Name}, append(slices.Clip(opts), gapErrors)...)
	return func(yield func(T, error) bool) {
		for e, err := range s {
			var v T
			if err == nil {
				v, err = t.value(e)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// value is the inverse of Event.
func (t Topic[T]) value(e core.Event) (v T, err error) {
	switch {
	case t.Type != "" && e.Type != t.Type:
		err = fmt.Errorf("its type is not %q", t.Type)
	case t.Decode != nil:
		v, err = t.Decode(e)
	default:
		err = json.Unmarshal([]byte(e.Data), &v)
	}
	if err != nil {
		var zero T
		return zero, fmt.Errorf("hub: the event %q of %q (type %q) is not a %T: %w", e.ID, t.Name, e.Type, zero, err)
	}
	return v, nil
}

// A GapError is a [Gap] in the values of [Topic.Subscribe].
type GapError struct{ Gap }

func (e *GapError) Error() string {
	return fmt.Sprintf("hub: events are missing after %q, through %q: %s", e.After, e.Through, e.Reason)
}

// gapErrors makes a gap an error instead of an event.
func gapErrors(s *selection) { s.gapErrors = true }
