package natslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
)

// A view subscribes to a hub over a log as to any other hub. All processes that use the
// same stream share its events.
func Example() {
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		fmt.Println(err)
		return
	}
	room := hub.New(hub.WithLog(natslog.New(js, "chat")))
	defer room.Shutdown(context.Background())

	server := httptest.NewServer(nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return room.SubscribeFrom(r.Context(), hub.Oldest, "lobby")
	}))
	defer server.Close()

	for _, text := range []string{"Hello", "Goodbye"} {
		if _, err := room.Publish(context.Background(), "lobby", core.Event{Data: text}); err != nil {
			fmt.Println(err)
			return
		}
	}
	for e, err := range events(server.URL, "") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		if e.Data == "Goodbye" {
			break
		}
	}
	// Output:
	// Hello
	// Goodbye
}

// As long as the log does not answer, a view can refuse its clients, which then try
// another process. Healthy is also what a readiness probe should ask.
func Example_errors() {
	nc, js := connection(nowhere(), nats.RetryOnFailedConnect(true))
	defer nc.Close()
	orders := hub.New(hub.WithLog(natslog.New(js, "orders")))
	defer orders.Shutdown(context.Background())

	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
		topic := r.PathValue("id")
		if err := hub.CheckTopic(topic); err != nil { // it may be a pattern, which matches the orders of others
			http.Error(w, "this is not an order", http.StatusBadRequest)
			return nil
		}
		if err := orders.Healthy(); err != nil {
			http.Error(w, "please try again later", http.StatusServiceUnavailable)
			return nil
		}
		return orders.Subscribe(r.Context(), topic)
	}))

	server := httptest.NewServer(mux)
	defer server.Close()
	for _, path := range []string{"/orders/*", "/orders/1207"} {
		for _, err := range events(server.URL+path, "") {
			if refused, ok := errors.AsType[*client.ResponseError](err); ok {
				fmt.Printf("%d %s\n", refused.Status, bytes.TrimSpace(refused.Body))
			}
		}
	}
	// Output:
	// 400 this is not an order
	// 503 please try again later
}

// A client whose process has stopped connects to another, and continues after the last
// event that it received.
func Example_resuming() {
	newsroom := func() (news *hub.Hub, url string, stop func()) {
		nc, js := connection(os.Getenv("NATS_URL"))
		news = hub.New(hub.WithLog(natslog.New(js, "news")))
		server := httptest.NewServer(nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return news.SubscribeFrom(r.Context(), hub.Oldest, "sports")
		}))
		return news, server.URL, func() {
			_ = news.Shutdown(context.Background())
			server.Close()
			nc.Close()
		}
	}
	publish := func(news *hub.Hub, text string) {
		if _, err := news.Publish(context.Background(), "sports", core.Event{Data: text}); err != nil {
			fmt.Println(err)
		}
	}

	one, url, stopOne := newsroom() // as two processes would
	other, otherURL, stopOther := newsroom()
	defer stopOther()
	publish(one, "The match has begun")
	publish(other, "1:0")
	lastEventID := ""
	for e, err := range events(url, lastEventID) {
		fmt.Println("one:", e.Data, err)
		lastEventID = e.ID
		if e.Data == "1:0" {
			break
		}
	}
	stopOne()
	publish(other, "1:1")
	for e, err := range events(otherURL, lastEventID) {
		fmt.Println("the other:", e.Data, err)
		break
	}
	// Output:
	// one: The match has begun <nil>
	// one: 1:0 <nil>
	// the other: 1:1 <nil>
}

// The hub's Shutdown ends its streams once they have what was published before. Shut the
// server down after the hub, because the server writes the end of each response, and
// close the connection last.
func Example_shutdown() {
	nc, js := connection(os.Getenv("NATS_URL"))
	lectures := hub.New(hub.WithLog(natslog.New(js, "lectures")))
	server := &http.Server{
		Handler: nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return lectures.SubscribeFrom(r.Context(), hub.Oldest, "today")
		}),
		ReadHeaderTimeout: 5 * time.Second,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(listener)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	_, err = lectures.Publish(ctx, "today", core.Event{Data: "Good morning"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range events("http://"+listener.Addr().String(), "") {
		if err != nil {
			fmt.Println(err) // the stream has broken off
			return
		}
		fmt.Println(e.Data)
		if e.Data == "Good morning" {
			_, err := lectures.Publish(ctx, "today", core.Event{Data: "That is all"})
			go func() { // a program would do so when it gets a signal
				err := errors.Join(err, lectures.Shutdown(ctx), server.Shutdown(ctx))
				nc.Close()
				stopped <- err
			}()
		}
	}
	fmt.Println("the client: the stream has ended cleanly")
	fmt.Println("the process:", <-stopped)
	// Output:
	// Good morning
	// That is all
	// the client: the stream has ended cleanly
	// the process: <nil>
}

// connection connects to a server of NATS, and connects again whenever that is lost.
func connection(url string, opts ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	nc, err := nats.Connect(url, append(opts, nats.MaxReconnects(-1))...)
	if err != nil {
		panic(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	return nc, js
}

// nowhere returns the address of a server that is not there.
func nowhere() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// events returns what the server sends to a client that has received the event
// lastEventID, until the response ends.
func events(url, lastEventID string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			yield(core.Event{}, err)
			return
		}
		client.Stream(req, client.WithOnce(""), client.WithLastEventID(lastEventID))(yield)
	}
}

// A run that one process has started is read in another one.
func ExampleNewRuns() {
	open := func() (*run.Runner, func()) { // as each process does
		nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1))
		if err != nil {
			panic(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			panic(err)
		}
		store := natslog.NewRuns(js, "answers")
		answers := run.New(run.WithStore(store))
		return answers, func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := errors.Join(answers.Shutdown(ctx), store.Close()); err != nil { // in this order
				fmt.Println(err)
			}
			nc.Close()
		}
	}
	one, done := open()
	defer done()
	other, done := open()
	defer done()

	ctx := context.Background()
	one.Start(ctx, "chat-7", func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "To be"}, nil) && yield(core.Event{Data: "or not"}, nil)
		}
	})
	for e, err := range other.Attach(ctx, "chat-7") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
	}
	// Output:
	// To be
	// or not
}
