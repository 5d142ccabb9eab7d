package fiber3sse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v3"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
)

// A view returns a generator, and the client receives each event that it yields.
func Example() {
	app := fiber.New()
	app.Get("/greetings", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		name := strings.Clone(c.Query("name")) // c's strings are fiber's
		return func(yield func(core.Event, error) bool) {
			for _, greeting := range []string{"Hello", "How are you", "Goodbye"} {
				if !yield(core.Event{Data: greeting + ", " + name}, nil) {
					return // the client has left, or the server shuts down
				}
			}
		}, nil
	}))

	url, stop := listen(app)
	defer stop()
	for e, err := range events(url+"/greetings?name=Ada", "") {
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

// A view that cannot begin a stream returns an error, as any other handler of fiber does.
func Example_errors() {
	app := fiber.New()
	app.Get("/jobs/:id", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		id := strings.Clone(c.Params("id"))
		if id != "7" {
			return nil, fiber.NewError(fiber.StatusNotFound, "there is no job "+id)
		}
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "job " + id + " is done"}, nil)
		}, nil
	}))

	url, stop := listen(app)
	defer stop()
	for _, path := range []string{"/jobs/7", "/jobs/8"} {
		for e, err := range events(url+path, "") {
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
	app := fiber.New()
	app.Get("/steps", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		last, _ := strconv.Atoi(core.LastEventID(c.Context())) // 0 on the first connection
		return func(yield func(core.Event, error) bool) {
			for n := last + 1; n <= 3; n++ {
				if !yield(core.Event{ID: strconv.Itoa(n), Data: fmt.Sprintf("step %d of 3", n)}, nil) {
					return
				}
			}
		}, nil
	}))

	url, stop := listen(app)
	defer stop()
	for _, lastEventID := range []string{"", "2"} {
		fmt.Printf("Last-Event-ID: %q\n", lastEventID)
		for e, err := range events(url+"/steps", lastEventID) {
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

// fiber's own Shutdown ends all streams and waits for them. It needs no other code,
// unless streams are detached: see [core.WithDetach].
func Example_shutdown() {
	app := fiber.New()
	app.Get("/hello", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		ctx := c.Context()
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true})

	stopped := make(chan error, 1)
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- app.ShutdownWithContext(ctx)
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

// listen serves app on a free port until stop is called.
func listen(app *fiber.App) (url string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true})
	return "http://" + listener.Addr().String(), func() { _ = app.Shutdown() }
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
