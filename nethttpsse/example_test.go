package nethttpsse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A view returns a generator, and the client receives each event that it yields.
func Example() {
	mux := http.NewServeMux()
	mux.Handle("GET /greetings", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		name := r.FormValue("name")
		return func(yield func(core.Event, error) bool) {
			for _, greeting := range []string{"Hello", "How are you", "Goodbye"} {
				if !yield(core.Event{Data: greeting + ", " + name}, nil) {
					return // the client has left, or the server shuts down
				}
			}
		}
	}))

	server := httptest.NewServer(mux)
	defer server.Close()
	for e, err := range events(server.URL+"/greetings?name=Ada", "") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
	}
	// Output:
	// Hello, Ada
	// How are you, Ada
	// Goodbye, Ada
}

// A view that cannot begin a stream answers as any other handler does, and returns
// no stream.
func Example_errors() {
	mux := http.NewServeMux()
	mux.Handle("GET /jobs/{id}", nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
		id := r.PathValue("id")
		if id != "7" {
			http.Error(w, "there is no job "+id, http.StatusNotFound)
			return nil
		}
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "job " + id + " is done"}, nil)
		}
	}))

	server := httptest.NewServer(mux)
	defer server.Close()
	for _, path := range []string{"/jobs/7", "/jobs/8"} {
		for e, err := range events(server.URL+path, "") {
			if refused, ok := errors.AsType[*client.ResponseError](err); ok {
				fmt.Printf("%d %s\n", refused.Status, bytes.TrimSpace(refused.Body))
			} else {
				fmt.Println(e.Data, err)
			}
		}
	}
	// Output:
	// job 7 is done <nil>
	// 404 there is no job 8
}

// A client that reconnects sends the ID of the last event that it received, and the
// generator continues after it.
func Example_resuming() {
	view := func(_ http.ResponseWriter, r *http.Request) core.Stream {
		last, _ := strconv.Atoi(core.LastEventID(r.Context())) // 0 on the first connection
		return func(yield func(core.Event, error) bool) {
			for n := last + 1; n <= 3; n++ {
				if !yield(core.Event{ID: strconv.Itoa(n), Data: fmt.Sprintf("step %d of 3", n)}, nil) {
					return
				}
			}
		}
	}

	server := httptest.NewServer(nethttpsse.Handler(view))
	defer server.Close()
	for _, lastEventID := range []string{"", "2"} {
		fmt.Printf("Last-Event-ID: %q\n", lastEventID)
		for e, err := range events(server.URL, lastEventID) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(e.Data)
		}
	}
	// Output:
	// Last-Event-ID: ""
	// step 1 of 3
	// step 2 of 3
	// step 3 of 3
	// Last-Event-ID: "2"
	// step 3 of 3
}

// The server's own Shutdown ends all streams and waits for them. It needs no other
// code, unless streams are detached: see [core.WithDetach].
func Example_shutdown() {
	view := func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			if !yield(core.Event{Data: "Hello"}, nil) {
				return
			}
			for range core.Every(ctx, time.Hour) { // it ends with ctx
				if !yield(core.Event{Data: "Still here?"}, nil) {
					return
				}
			}
			fmt.Println("the view:", context.Cause(ctx))
		}
	}
	server := &http.Server{Handler: nethttpsse.Handler(view), ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(listener)

	stopped := make(chan error, 1)
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	}
	for e, err := range events("http://"+listener.Addr().String(), "") {
		if err != nil {
			fmt.Println(err) // the stream has broken off
			return
		}
		fmt.Println(e.Data)
		go stop() // a program would do so when it gets a signal
	}
	fmt.Println("the client: the stream has ended cleanly")
	fmt.Println("the server:", <-stopped)
	// Output:
	// Hello
	// the view: core: the server is shutting down
	// the client: the stream has ended cleanly
	// the server: <nil>
}

// Serve is for handlers of another form. These return an error, which is answered in
// one place.
func ExampleServe() {
	handler := func(w http.ResponseWriter, r *http.Request) error {
		return nethttpsse.Serve(w, r, func(r *http.Request) (core.Stream, error) {
			name := r.FormValue("name")
			if name == "" {
				return nil, errors.New("who are you?")
			}
			return func(yield func(core.Event, error) bool) {
				yield(core.Event{Data: "Hello, " + name}, nil)
			}, nil
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := handler(w, r)
		var (
			failed  *core.StreamError
			refused *core.RefusedError
		)
		switch {
		case err == nil:
		case errors.As(err, &failed):
			log.Print(err) // the response has begun
		case errors.As(err, &refused):
			http.Error(w, refused.Answer(), refused.Status)
		default:
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	defer server.Close()

	for _, query := range []string{"?name=Ada", ""} {
		for e, err := range events(server.URL+query, "") {
			if refused, ok := errors.AsType[*client.ResponseError](err); ok {
				fmt.Printf("%d %s\n", refused.Status, bytes.TrimSpace(refused.Body))
			} else {
				fmt.Println(e.Data, err)
			}
		}
	}
	// Output:
	// Hello, Ada <nil>
	// 400 who are you?
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
