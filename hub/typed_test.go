package hub_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

type price struct {
	Share string  `json:"share"`
	Price float64 `json:"price"`
}

func TestTopic(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(4))
	prices := hub.Topic[price]{Hub: h, Name: "prices", Type: "price"}
	id, err := prices.Publish(t.Context(), price{"ACME", 12.5})
	if err != nil {
		t.Fatal(err)
	}
	want := core.Event{ID: id, Type: "price", Data: `{"share":"ACME","price":12.5}`}
	if got := read(t, prices.Stream(soon(t), hub.From(hub.Oldest))).event(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := h.Publish(t.Context(), "prices", core.Event{Type: "price", Data: "no JSON"}); err != nil {
		t.Fatal(err)
	}
	if _, err := prices.Publish(t.Context(), price{"BOLT", 3}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for p, err := range prices.Subscribe(soon(t), hub.From(hub.Oldest)) {
		var gap *hub.GapError
		switch {
		case errors.As(err, &gap):
			got = append(got, string(gap.Reason))
		case err != nil:
			got = append(got, "bad")
			if text := err.Error(); p != (price{}) || !strings.Contains(text, `" of "prices" (type "`) || !strings.Contains(text, `") is not a hub_test.price: `) {
				t.Errorf("got %v, %s", p, text)
			}
		default:
			got = append(got, p.Share)
		}
		if p.Share == "BOLT" {
			publishAll(t, h, "prices", "1 2 {} {} {}") // of another type
			if _, err := prices.Publish(t.Context(), price{Share: "END"}); err != nil {
				t.Fatal(err)
			}
		}
		if p.Share == "END" {
			break
		}
	}
	if got, want := strings.Join(got, " "), "ACME bad BOLT dropped "+strings.Repeat("bad ", 3)+"END"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A topic's values may have another form than JSON, and may have a state.
func TestTopicWithItsOwnForm(t *testing.T) {
	numbers := hub.Topic[int]{
		Hub: hub.New(), Name: "numbers",
		Encode: func(n int) (core.Event, error) { return core.Event{Data: strconv.Itoa(n)}, nil },
		Decode: func(e core.Event) (int, error) { return strconv.Atoi(e.Data) },
	}
	state := hub.WithState(func(yield func(core.Event, error) bool) { yield(numbers.Event(7)) })
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	sum := 0
	for n, err := range numbers.Subscribe(ctx, state) {
		if err != nil {
			t.Fatal(err)
		}
		if sum += n; sum > 7 {
			break
		}
		if _, err := numbers.Publish(ctx, 8); err != nil {
			t.Fatal(err)
		}
	}
	if sum != 15 {
		t.Errorf("got %d, want 15", sum)
	}
	if _, err := (hub.Topic[chan int]{Hub: numbers.Hub, Name: "a"}).Publish(ctx, nil); err == nil {
		t.Error("got no error for a value that has no JSON")
	}
}

// Before a new state, which has another meaning after a gap, the loop is told.
func TestTopicState(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, restart := open()
		numbers := hub.Topic[int]{Hub: h, Name: "numbers"}
		state := hub.WithState(func(yield func(core.Event, error) bool) { yield(numbers.Event(7)) })
		before := h.LastID()
		numbers.Hub = restart()
		var gap *hub.GapError
		var got []int
		for n, err := range numbers.Subscribe(t.Context(), state, hub.From(hub.After(before))) {
			switch {
			case errors.As(err, &gap) && gap.Reason == hub.GapRestarted && gap.After == before && gap.Through == numbers.Hub.LastID():
				continue
			case err != nil || gap == nil:
				t.Fatalf("got %d, %v, and before that the gap %v", n, err, gap)
			}
			if got = append(got, n); len(got) == 2 {
				break
			}
			if _, err := numbers.Publish(t.Context(), 8); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != 2 || got[0] != 7 || got[1] != 8 {
			t.Errorf("got %v, want 7 and 8", got)
		}
	})
}
