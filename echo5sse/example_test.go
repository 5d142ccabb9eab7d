package echo5sse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
)

// A view returns a generator, and the client receives each event that it yields.
func Example() {
	e := echo.New()
	e.GET("/greetings", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		name := c.QueryParam("name")
		return func(yield func(core.Event, error) bool) {
			for _, greeting := range []string{"Hello", "How are you", "Goodbye"} {
				if !yield(core.Event{Data: greeting + ", " + name}, nil) {
					return // the client has left, or the server shuts down
				}
			}
		}, nil
	}))

	server := httptest.NewServer(e)
	defer server.Close()
	for event, err := range events(server.URL+"/greetings?name=Ada", "") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Data)
	}
	// Output:
	// Hello, Ada
	// How are you, Ada
	// Goodbye, Ada
}

// A view that cannot begin a stream returns an error, as any other handler of echo does.
func Example_errors() {
	e := echo.New()
	e.GET("/jobs/:id", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		id := c.Param("id")
		if id != "7" {
			return nil, echo.NewHTTPError(http.StatusNotFound, "there is no job "+id)
		}
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "job " + id + " is done"}, nil)
		}, nil
	}))

	server := httptest.NewServer(e)
	defer server.Close()
	for _, path := range []string{"/jobs/7", "/jobs/8"} {
		for event, err := range events(server.URL+path, "") {
			if refused, ok := errors.AsType[*client.ResponseError](err); ok {
				fmt.Printf("%d %s\n", refused.Status, bytes.TrimSpace(refused.Body))
			} else {
				fmt.Println(event.Data, err)
			}
		}
	}
	// Output:
	// job 7 is done <nil>
	// 404 {"message":"there is no job 8"}
}

// A client that reconnects sends the ID of the last event that it received, and the
// generator continues after it.
func Example_resuming() {
	e := echo.New()
	e.GET("/steps", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		last, _ := strconv.Atoi(core.LastEventID(c.Request().Context())) // 0 on the first connection
		return func(yield func(core.Event, error) bool) {
			for n := last + 1; n <= 3; n++ {
				if !yield(core.Event{ID: strconv.Itoa(n), Data: fmt.Sprintf("step %d of 3", n)}, nil) {
					return
				}
			}
		}, nil
	}))

	server := httptest.NewServer(e)
	defer server.Close()
	for _, lastEventID := range []string{"", "2"} {
		fmt.Printf("Last-Event-ID: %q\n", lastEventID)
		for event, err := range events(server.URL+"/steps", lastEventID) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(event.Data)
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

// When the context of [echo.StartConfig] ends, all streams end, and Start waits for them.
// It needs no other code, unless streams are detached: see [core.WithDetach].
func Example_shutdown() {
	e := echo.New()
	e.GET("/hello", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		ctx := c.Request().Context()
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
		}, nil
	}))
	addr := make(chan string, 1)
	config := echo.StartConfig{
		Address: "127.0.0.1:0", HideBanner: true, HidePort: true,
		ListenerAddrFunc: func(a net.Addr) { addr <- a.String() },
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- config.Start(ctx, e) }()

	for event, err := range events("http://"+<-addr+"/hello", "") {
		if err != nil {
			fmt.Println(err) // the stream has broken off
			return
		}
		fmt.Println(event.Data)
		stop() // a program would do so when it gets a signal
	}
	fmt.Println("the client: the stream has ended cleanly")
	fmt.Println("the server:", <-stopped)
	// Output:
	// Hello
	// the view: core: the server is shutting down
	// the client: the stream has ended cleanly
	// the server: <nil>
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
