package presence_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/presence"
)

// Ann sees that Bob comes and goes.
func Example() {
	var who presence.Tracker
	srv := httptest.NewServer(nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		user := r.FormValue("user") // in your program, from a session
		if _, err := who.Join(r.Context(), "lobby", user, nil); err != nil {
			return func(yield func(core.Event, error) bool) { yield(core.Event{}, err) }
		}
		return who.Stream(r.Context(), "lobby")
	}))
	defer srv.Close()

	ann, err := http.Get(srv.URL + "?user=ann")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ann.Body.Close()
	for e, err := range core.Read(ann.Body) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Type, e.Data)
		switch e.Type {
		case "current":
			bob, err := http.Get(srv.URL + "?user=bob")
			if err != nil {
				fmt.Println(err)
				return
			}
			_ = bob.Body.Close() // Bob closes the page
		case "leave":
			return
		}
	}
	// Output:
	// members {"first":true,"members":[{"topic":"lobby","id":"1","key":"ann"}]}
	// current {"last":true}
	// join {"topic":"lobby","id":"2","key":"bob"}
	// leave {"topic":"lobby","id":"2","key":"bob"}
}

// Two processes share a log: one of redislog or natslog, or here one for tests.
func Example_processes() {
	log := new(hubtest.MemoryLog)
	here, there := presence.New(presence.WithLog(log)), presence.New(presence.WithLog(log))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := here.Join(ctx, "lobby", "ann", map[string]string{"name": "Ann"}); err != nil {
		fmt.Println(err)
		return
	}
	for e := range there.Stream(ctx, "lobby") {
		if e.Type == "current" && there.Len("lobby") > 0 || e.Type == "join" {
			break
		}
	}
	for m := range there.Members("lobby") {
		fmt.Println(m.Key, string(m.Info))
	}
	for _, t := range []*presence.Tracker{here, there} {
		if err := t.Shutdown(ctx); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// ann {"name":"Ann"}
}

// A kick ends the sessions of a group, in all processes.
func ExampleTracker_Kick() {
	sessions := &core.Group{Key: func(ctx context.Context) string { return core.RequestOf(ctx).Path[1:] }}
	who := presence.New(presence.WithGroup(sessions))
	srv := httptest.NewServer(nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "hello"}, nil) {
				<-ctx.Done()
				fmt.Println(context.Cause(ctx))
			}
		}
	}, core.WithGroup(sessions)))
	defer srv.Close()

	ann, err := http.Get(srv.URL + "/ann")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ann.Body.Close()
	for e, err := range core.Read(ann.Body) { // ends with the session
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		if err := who.Kick(context.Background(), "ann", "spam"); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// hello
	// presence: "ann" was kicked: spam
}

// Shut down the Tracker before you close its log: its members leave at once in other processes.
func ExampleTracker_Shutdown() {
	log := new(hubtest.MemoryLog)
	who := presence.New(presence.WithLog(log))
	stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := who.Shutdown(stop); err != nil {
		fmt.Println(err)
	}
	_, err := who.Join(context.Background(), "lobby", "ann", nil)
	fmt.Println(errors.Is(err, core.ErrShutdown))
	// Output:
	// true
}
