package ginsse_test

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

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

// A view returns a generator, and the client receives each event that it yields.
func Example() {
	r := gin.New()
	r.GET("/greetings", ginsse.Handler(func(c *gin.Context) core.Stream {
		name := c.Query("name")
		return func(yield func(core.Event, error) bool) {
			for _, greeting := range []string{"Hello", "How are you", "Goodbye"} {
				if !yield(core.Event{Data: greeting + ", " + name}, nil) {
					return // the client has left, or the server shuts down
				}
			}
		}
	}))

	server := httptest.NewServer(r)
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

// A view that cannot begin a stream answers as any other handler of gin does, and
// returns no stream.
func Example_errors() {
	r := gin.New()
	r.GET("/jobs/:id", ginsse.Handler(func(c *gin.Context) core.Stream {
		id := c.Param("id")
		if id != "7" {
			c.AbortWithStatusJSON(http.StatusNotFound, gin.H{"error": "there is no job " + id})
			return nil
		}
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "job " + id + " is done"}, nil)
		}
	}))

	server := httptest.NewServer(r)
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
	// 404 {"error":"there is no job 8"}
}

// A client that reconnects sends the ID of the last event that it received, and the
// generator continues after it.
func Example_resuming() {
	r := gin.New()
	r.GET("/steps", ginsse.Handler(func(c *gin.Context) core.Stream {
		last, _ := strconv.Atoi(core.LastEventID(c.Request.Context())) // 0 on the first connection
		return func(yield func(core.Event, error) bool) {
			for n := last + 1; n <= 3; n++ {
				if !yield(core.Event{ID: strconv.Itoa(n), Data: fmt.Sprintf("step %d of 3", n)}, nil) {
					return
				}
			}
		}
	}))

	server := httptest.NewServer(r)
	defer server.Close()
	for _, lastEventID := range []string{"", "2"} {
		fmt.Printf("Last-Event-ID: %q\n", lastEventID)
		for e, err := range events(server.URL+"/steps", lastEventID) {
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

// gin has no server of its own, so that Shutdown is net/http's. It ends all streams and
// waits for them. It needs no other code, unless streams are detached: see
// [core.WithDetach].
func Example_shutdown() {
	r := gin.New()
	r.GET("/hello", ginsse.Handler(func(c *gin.Context) core.Stream {
		ctx := c.Request.Context()
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
	}))
	server := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
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
	for e, err := range events("http://"+listener.Addr().String()+"/hello", "") {
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
