package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

var errSource = errors.New("the source is gone")

// pairs is a sequence of values, the last of which comes with err. It fails the test if
// the loop continues after that.
func pairs[T any](t *testing.T, err error, values ...T) iter.Seq2[T, error] {
	t.Helper()
	return func(yield func(T, error) bool) {
		for i, v := range values {
			var e error
			if i == len(values)-1 {
				e = err
			}
			if !yield(v, e) {
				return
			}
		}
		if err != nil {
			t.Error("the sequence continued after its error")
		}
	}
}

type price struct {
	Symbol string  `json:"symbol"`
	Value  float64 `json:"value"`
}

func TestEncodeJSON(t *testing.T) {
	one := core.Event{Type: "price", Data: `{"symbol":"A<","value":1.5}`}
	two := core.Event{Type: "price", Data: `{"symbol":"\u00e9","value":2}`}
	two.Data = strings.ReplaceAll(two.Data, `\u00e9`, "\u00e9")
	for _, tt := range []struct {
		name string
		seq  iter.Seq2[price, error]
		want []core.Event
		err  string // of the last element, which is not in want
	}{
		{"none", pairs[price](t, nil), nil, ""},
		{"values", pairs(t, nil, price{"A<", 1.5}, price{"\u00e9", 2}), []core.Event{one, two}, ""},
		{"an error", pairs(t, errSource, price{"A<", 1.5}, price{}), []core.Event{one}, errSource.Error()},
		{"no JSON", pairs(t, nil, price{"A<", 1.5}, price{"B", math.NaN()}, price{"C", 3}), []core.Event{one}, "core: event data: json: unsupported value: NaN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []core.Event
			text := ""
			for e, err := range core.EncodeJSON("price", tt.seq) {
				if text != "" {
					t.Error("the stream continued after its error")
				}
				if err != nil {
					text = err.Error()
					continue
				}
				got = append(got, e)
			}
			if !slices.Equal(got, tt.want) || text != tt.err {
				t.Errorf("got %q, error %q, want %q, %q", got, text, tt.want, tt.err)
			}
		})
	}
}

func TestEncodeJSONStops(t *testing.T) {
	n := 0
	for _, err := range core.EncodeJSON("n", func(yield func(int, error) bool) {
		for n = 1; yield(n, nil); n++ { //nolint:revive // it counts
		}
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("got %d values, want 3", n)
	}
}

func TestThen(t *testing.T) {
	events := func(err error) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "1"}, nil) && yield(core.Event{Data: "2"}, err) && err == nil {
				yield(core.Event{Data: "3"}, nil)
			}
		}
	}
	for _, tt := range []struct {
		name string
		err  error
		stop int // the loop ends after this many elements
		want string
	}{
		{"whole", nil, 9, "1 2 3 [DONE] end"},
		{"failed", errSource, 9, "1 error"},
		{"left in the stream", nil, 2, "1 2"},
		{"left after it", nil, 3, "1 2 3"},
		{"left in the last events", nil, 4, "1 2 3 [DONE]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for e, err := range core.Then(events(tt.err), core.Event{Data: "[DONE]"}, core.Event{Data: "end"}) {
				if err != nil {
					e.Data = "error"
				}
				if got = append(got, e.Data); len(got) == tt.stop {
					break
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecodeJSON(t *testing.T) {
	event := func(data string) core.Event { return core.Event{ID: "7", Type: "price", Data: data} }
	for _, tt := range []struct {
		name   string
		stream core.Stream
		want   []price
		err    string
	}{
		{"none", pairs[core.Event](t, nil), nil, ""},
		{"values", pairs(t, nil, event(`{"symbol":"A","value":1.5}`), event(`{}`)), []price{{"A", 1.5}, {}}, ""},
		{"nothing of one is left in the next", pairs(t, nil, event(`{"symbol":"A","value":1}`), event(`{"value":2}`)), []price{{"A", 1}, {"", 2}}, ""},
		{
			"what has no data has no value",
			pairs(t, nil, core.Event{Comment: "open"}, core.Event{Retry: time.Second}, core.Event{ID: "6"}, event(`{"symbol":"A","value":1}`), event("")),
			[]price{{"A", 1}}, "",
		},
		{"the stream's error", pairs(t, errSource, event(`{}`), event(`nonsense`)), []price{{}}, errSource.Error()},
		{
			"no JSON", pairs(t, nil, event(`{}`), event(`{"symbol":"A",`), event(`{}`)), []price{{}},
			`core: data of event "7" (type "price") is not a core_test.price: unexpected end of JSON input`,
		},
		{
			"another type", pairs(t, nil, event(`{"symbol":"A","value":"high"}`), event(`{}`)), nil,
			`core: data of event "7" (type "price") is not a core_test.price: json: cannot unmarshal string into Go struct field price.value of type float64`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []price
			text := ""
			for v, err := range core.DecodeJSON[price](tt.stream) {
				if text != "" {
					t.Error("the sequence continued after its error")
				}
				if err != nil {
					text = err.Error()
					if v != (price{}) {
						t.Errorf("got %v with an error, want nothing", v)
					}
					continue
				}
				got = append(got, v)
			}
			if !slices.Equal(got, tt.want) || text != tt.err {
				t.Errorf("got %v, error %q, want %v, %q", got, text, tt.want, tt.err)
			}
		})
	}
}

func TestDecodeJSONErrorUnwraps(t *testing.T) {
	for _, err := range core.DecodeJSON[int](pairs(t, nil, core.Event{Data: "}"})) {
		if _, ok := errors.AsType[*json.SyntaxError](err); !ok {
			t.Errorf("got %v, want a *json.SyntaxError inside", err)
		}
	}
}

// DecodeJSON yields the values that EncodeJSON has encoded.
func TestEncodeAndDecodeJSON(t *testing.T) {
	want := []price{{"A", 1}, {"B", 2}, {"a\r\nb\u2028", math.MaxFloat64}}
	var got []price
	for v, err := range core.DecodeJSON[price](core.EncodeJSON("price", pairs(t, nil, want...))) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, err := range core.DecodeJSON[price](core.EncodeJSON("price", pairs(t, nil, want...))) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
}

func TestEvery(t *testing.T) {
	for _, tt := range []struct {
		name string
		d    time.Duration
		loop time.Duration // how long its body takes
		want []time.Duration
		end  time.Duration
	}{
		{"a second", time.Second, 0, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, 3500 * time.Millisecond},
		{"longer than the context", time.Minute, 0, nil, 3500 * time.Millisecond},
		{"zero", 0, 0, nil, 3500 * time.Millisecond},
		{"less than zero", -time.Second, 0, nil, 3500 * time.Millisecond},
		// The tick of 2 s waits; the others are dropped, or wait in their turn.
		{"a slow loop", time.Second, 2500 * time.Millisecond, []time.Duration{time.Second, 3500 * time.Millisecond}, 6 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const until = 3500*time.Millisecond + 1
				ctx, cancel := context.WithTimeout(t.Context(), until-1)
				defer cancel()
				if tt.loop > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), until)
					defer cancel()
				}
				begin := time.Now()
				var got []time.Duration
				for now := range core.Every(ctx, tt.d) {
					got = append(got, time.Since(begin))
					if now.After(time.Now()) || now.Before(begin.Add(tt.d)) {
						t.Errorf("got the time %v at %v", now, time.Now())
					}
					<-time.After(tt.loop)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got ticks at %v, want %v", got, tt.want)
				}
				if got := time.Since(begin); got != tt.end {
					t.Errorf("got an end at %v, want %v", got, tt.end)
				}
			})
		})
	}
}

// Ticks that a slow loop misses are dropped, and not delivered later.
func TestEveryDropsTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, n := time.Now(), 0
		for range core.Every(t.Context(), time.Second) {
			n++
			if n == 1 {
				<-time.After(time.Minute)
			}
			if time.Since(begin) >= 65*time.Second {
				break
			}
		}
		if n > 7 {
			t.Errorf("got %d ticks, want the missed ones dropped", n)
		}
	})
}

func TestReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		receive := func(name string, ctx context.Context, ch <-chan int, want ...int) {
			t.Helper()
			var got []int
			for v := range core.Receive(ctx, ch) {
				got = append(got, v)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		ch := make(chan int, 3)
		ch <- 1
		ch <- 2
		close(ch)
		receive("until it is closed", t.Context(), ch, 1, 2)

		ch = make(chan int)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			ch <- 1
			ch <- 2
			<-time.After(time.Second)
			cancel()
		}()
		receive("until the context ends", ctx, ch, 1, 2)

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		receive("a nil channel", ctx, nil)
	})
}

// If there is a value and the context has ended, the value is not yielded.
func TestReceiveEndWins(t *testing.T) {
	ch := make(chan int, 1)
	ch <- 1
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for v := range core.Receive(ctx, ch) {
			t.Fatalf("got %d after the end", v)
		}
	}
	for range 200 { // the same if it ends between two values
		ch := make(chan int, 2)
		ch <- 1
		ch <- 2
		ctx, cancel := context.WithCancel(t.Context())
		for v := range core.Receive(ctx, ch) {
			if v == 2 {
				t.Fatal("got 2 after the end")
			}
			cancel()
		}
		cancel()
	}
}

// The same if the context ends just before the select.
func TestReceiveEndWinsLate(t *testing.T) {
	done := make(chan struct{})
	close(done)
	ch := make(chan int, 1)
	for range 200 {
		select {
		case ch <- 1:
		default:
		}
		for v := range core.Receive(&endingContext{Context: t.Context(), done: done}, ch) {
			t.Fatalf("got %d after the end", v)
		}
	}
}

// An endingContext ends after the first call of its Err.
type endingContext struct {
	context.Context //nolint:containedctx // it is one itself
	done            chan struct{}
	asked           bool
}

func (c *endingContext) Done() <-chan struct{} { return c.done }

func (c *endingContext) Err() error {
	if !c.asked {
		c.asked = true
		return nil
	}
	return context.Canceled
}

func TestReceiveBreak(t *testing.T) {
	ch := make(chan string, 2)
	ch <- "a"
	ch <- "b"
	for v := range core.Receive(t.Context(), ch) {
		if v != "a" {
			t.Errorf("got %q, want %q", v, "a")
		}
		break
	}
	if got := fmt.Sprint(len(ch)); got != "1" {
		t.Errorf("got %s values left, want 1", got)
	}
}
