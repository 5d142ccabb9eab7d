package core_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
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

// An event carries only text. A page decodes these bytes with atob.
func ExampleEvent_Base64() {
	picture := []byte("\x89PNG\r\n\x1a\n")
	e := core.Event{ID: "1", Type: "tile"}.Base64(picture)
	fmt.Println(e.Data)

	raw, err := base64.StdEncoding.DecodeString(e.Data)
	fmt.Println(bytes.Equal(raw, picture), err)
	// Output:
	// iVBORw0KGgo=
	// true <nil>
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

// read reads a stream of a view to its end, as a client does, and returns what it has seen.
func read(view nethttpsse.View, opts ...core.Option) string {
	server := httptest.NewServer(nethttpsse.Handler(view, opts...))
	defer server.Close() // when the session's observers have returned
	res, err := http.Get(server.URL + "/prices")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	seen := "the client: "
	for e, err := range core.Read(res.Body) {
		if err != nil {
			return seen + err.Error()
		}
		seen += e.Data + ", "
	}
	return seen + "and a clean end"
}

// greet is a view of one event.
func greet(http.ResponseWriter, *http.Request) core.Stream {
	return func(yield func(core.Event, error) bool) { yield(core.Event{Data: "hello"}, nil) }
}

// wait is a view that sends an event, and then waits for the end.
func wait(_ http.ResponseWriter, r *http.Request) core.Stream {
	ctx := r.Context()
	return func(yield func(core.Event, error) bool) {
		if yield(core.Event{Data: "hello"}, nil) {
			<-ctx.Done()
		}
	}
}

// The streams of a user end when their right to read does.
func ExampleGroup_End() {
	type userKey struct{}
	streams := core.Group{Key: func(ctx context.Context) string {
		user, _ := ctx.Value(userKey{}).(string)
		return user
	}}
	stream := nethttpsse.Handler(wait, core.WithGroup(&streams))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), userKey{}, r.FormValue("user")) // as a middleware does
		stream.ServeHTTP(w, r.WithContext(ctx))
	}))
	defer server.Close()
	res, err := http.Get(server.URL + "/prices?user=ann")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()

	for e, err := range core.Read(res.Body) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		for m := range streams.Members() {
			fmt.Println(m.Key, "reads", m.Request.Path)
		}
		fmt.Println("ended:", streams.End("ann", errors.New("signed out")))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println("left:", streams.Wait(ctx), streams.Len())
	// Output:
	// hello
	// ann reads /prices
	// ended: 1
	// left: <nil> 0
}

// Before a server leaves, its streams end one by one, so that their clients do not arrive
// elsewhere together.
func ExampleGroup_Drain() {
	var streams core.Group
	server := httptest.NewServer(nethttpsse.Handler(wait, core.WithGroup(&streams)))
	defer server.Close()
	res, err := http.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var p core.Parser
	for e, err := range p.Read(res.Body) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		if err := streams.Drain(ctx, 10*time.Millisecond); err != nil { // a minute for thousands of streams
			fmt.Println(err)
		}
	}
	fmt.Println("reconnect after", p.Retry)
	res, err = http.Get(server.URL) // the load balancer should send it elsewhere by now
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output:
	// hello
	// reconnect after 500ms
	// 503 Service Unavailable
}

// A stream ends with the token that lets it in, and one that has expired lets nobody in.
func ExampleWithExpiry() {
	for _, life := range []time.Duration{time.Hour, -time.Hour} {
		expires := time.Now().Add(life)
		fmt.Println(read(greet, core.WithExpiry(func(context.Context) time.Time { // of a token in the context
			return expires
		})))
	}
	// Output:
	// the client: hello, and a clean end
	// 401 Unauthorized
}

// A stream ends soon after its client has lost the right to read.
func ExampleWithRecheck() {
	var revoked atomic.Bool // in a database
	view := func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "hello"}, nil) {
				revoked.Store(true)
				<-ctx.Done()
				fmt.Println("the view:", context.Cause(ctx))
			}
		}
	}
	fmt.Println(read(view, core.WithRecheck(10*time.Millisecond, func(context.Context) error { // rather a minute
		if revoked.Load() {
			return errors.New("ann may not read any more")
		}
		return nil
	})))
	// Output:
	// the view: ann may not read any more
	// the client: hello, and a clean end
}

// A stream that fails has a line. Those that end as they should have none.
func ExampleWithLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "remote" || a.Key == "duration" { // different each time
			return slog.Attr{}
		}
		return a
	}}))
	fmt.Println(read(func(http.ResponseWriter, *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "hello"}, nil) {
				yield(core.Event{}, errors.New("the database has gone"))
			}
		}
	}, core.WithLogger(logger), core.WithErrorEvent(func(error) core.Event { return core.Event{Data: "sorry"} })))
	// Output:
	// level=ERROR msg="stream failed" method=GET path=/prices error="the database has gone" events=1 bytes=34
	// the client: hello, sorry, and a clean end
}

// An observer counts what happens to sessions.
func ExampleWithObserver() {
	observer := core.Observer{
		Opened: func(ctx context.Context) { fmt.Println("opened", core.RequestOf(ctx).Path) },
		Closed: func(_ context.Context, end core.Summary) {
			fmt.Println("closed after", end.Events, "event, cause:", end.Cause, "error:", end.Err)
		},
	}
	fmt.Println(read(greet, core.WithObserver(observer)))
	// Output:
	// opened /prices
	// closed after 1 event, cause: <nil> error: <nil>
	// the client: hello, and a clean end
}
