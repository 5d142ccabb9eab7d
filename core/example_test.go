package core_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A stream is a generator, and ranges like one.
func Example() {
	countdown := func(from int) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for n := from; n > 0; n-- {
				if !yield(core.Event{Type: "tick", Data: fmt.Sprint(n)}, nil) {
					return
				}
			}
			yield(core.Event{Type: "done"}, nil)
		}
	}

	for e, err := range countdown(2) {
		if err != nil {
			fmt.Println(err)
			return
		}
		wire, _ := e.AppendText(nil)
		fmt.Print(strings.TrimSuffix(string(wire), "\n"))
	}
	// Output:
	// event: tick
	// data: 2
	// event: tick
	// data: 1
	// event: done
	// data:
}

func ExampleEvent_JSON() {
	type price struct {
		Symbol string  `json:"symbol"`
		Euro   float64 `json:"euro"`
	}
	e, err := core.Event{ID: "1", Type: "price"}.JSON(price{"A&B", 12.5})
	fmt.Println(e.Type, e.Data, err)

	_, err = core.Event{}.JSON(make(chan int))
	fmt.Println(err)
	// Output:
	// price {"symbol":"A&B","euro":12.5} <nil>
	// core: event data: json: unsupported type: chan int
}

func ExampleEvent_AppendText() {
	e := core.Event{ID: "7", Type: "add", Data: "two\nlines", Retry: 3 * time.Second}
	wire, err := e.AppendText(nil)
	fmt.Printf("%s%v\n", wire, err)

	_, err = core.Event{ID: "7\n8"}.AppendText(nil)
	fmt.Println(err)
	// Output:
	// id: 7
	// event: add
	// retry: 3000
	// data: two
	// data: lines
	//
	// <nil>
	// core: event ID contains '\n' at byte 1: an ID and a Type are one line, without CR, LF or NUL
}

type reading struct {
	Sensor string `json:"sensor"`
	Degree int    `json:"degree"`
}

// readings stands in for a database or a device.
func readings() iter.Seq2[reading, error] {
	return func(yield func(reading, error) bool) {
		for i, sensor := range []string{"roof", "cellar"} {
			if !yield(reading{sensor, 20 - i}, nil) {
				return
			}
		}
	}
}

func ExampleEncodeJSON() {
	for e, err := range core.EncodeJSON("reading", readings()) {
		fmt.Println(e.Type, e.Data, err)
	}
	// Output:
	// reading {"sensor":"roof","degree":20} <nil>
	// reading {"sensor":"cellar","degree":19} <nil>
}

func ExampleDecodeJSON() {
	body := strings.NewReader(`data: {"sensor": "roof", "degree": 20}

data: {"sensor": "cellar", "degree": 19}

data: out of order

`)
	for r, err := range core.DecodeJSON[reading](core.Read(body)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Sensor, r.Degree)
	}
	// Output:
	// roof 20
	// cellar 19
	// core: data of event "" (type "") is not a core_test.reading: invalid character 'o' looking for beginning of value
}

// A client that knows the end of an answer by its last event does not mistake a part for the whole.
func ExampleThen() {
	answer := func(fails error) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "Hello"}, nil) && fails != nil {
				yield(core.Event{}, fails)
			}
		}
	}
	for _, fails := range []error{nil, errors.New("the model is overloaded")} {
		for e, err := range core.Then(answer(fails), core.Event{Data: "[DONE]"}) {
			if err != nil {
				fmt.Println("error:", err)
				break
			}
			fmt.Println(e.Data)
		}
	}
	// Output:
	// Hello
	// [DONE]
	// Hello
	// error: the model is overloaded
}

func ExampleRead() {
	body := strings.NewReader(`: heartbeat

id: 1
event: add
data: two
data: lines

data: the ID stays

data: nothing ended this one`)
	for e, err := range core.Read(body) {
		fmt.Printf("%q %q %q %v\n", e.ID, e.Type, e.Data, err)
	}
	// Output:
	// "1" "add" "two\nlines" <nil>
	// "1" "" "the ID stays" <nil>
}

// One Parser parses one connection after the other, and knows where to resume.
func ExampleParser() {
	var p core.Parser
	for _, connection := range []string{
		"retry: 500\n\nid: 1\ndata: a\n\nid: 2\ndata: half an ev",
		"id: 2\ndata: b\n\n",
	} {
		fmt.Printf("connect after %v, Last-Event-ID %q\n", p.Retry, p.LastEventID)
		for e, err := range p.Read(strings.NewReader(connection)) {
			fmt.Println(e.ID, e.Data, err)
		}
	}
	// Output:
	// connect after 0s, Last-Event-ID ""
	// 1 a <nil>
	// connect after 500ms, Last-Event-ID "1"
	// 2 b <nil>
}

func ExampleParser_comments() {
	p := core.Parser{Comments: true}
	for e, err := range p.Read(strings.NewReader(": hello\n\nretry: 500\n\n: note\ndata: x\n\n")) {
		fmt.Printf("%q %q %v %v\n", e.Comment, e.Data, e.Retry, err)
	}
	// Output:
	// "hello" "" 0s <nil>
	// "" "" 500ms <nil>
	// "note" "" 0s <nil>
	// "" "x" 0s <nil>
}

func ExampleEvery() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	ticks := 0
	for range core.Every(ctx, time.Millisecond) {
		if ticks++; ticks == 3 {
			cancel() // as when the client leaves
		}
	}
	fmt.Println(ticks, "ticks")
	// Output: 3 ticks
}

func ExampleReceive() {
	ch := make(chan string, 2)
	ch <- "a"
	ch <- "b"
	close(ch)
	for s := range core.Receive(context.Background(), ch) {
		fmt.Println(s)
	}
	// Output:
	// a
	// b
}
