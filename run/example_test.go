package run_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
)

// A client loses its connection in the middle of an answer, and resumes it.
func Example() {
	var answers run.Runner
	more := make(chan bool)
	answer := func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for _, word := range []string{"To", "be"} {
				if !yield(core.Event{Data: word}, nil) {
					return
				}
			}
			<-more // nobody is connected when the rest comes
			for _, word := range []string{"or", "not"} {
				if !yield(core.Event{Data: word}, nil) {
					return
				}
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /chats/{id}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return answers.Start(r.Context(), r.PathValue("id"), answer)
	}))
	mux.Handle("GET /chats/{id}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return answers.Attach(r.Context(), r.PathValue("id"))
	}))
	srv := httptest.NewServer(mux)
	defer srv.Close()

	res, err := http.Post(srv.URL+"/chats/7", "text/plain", strings.NewReader(""))
	if err != nil {
		fmt.Println(err)
		return
	}
	last := ""
	for e, err := range core.Read(res.Body) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		last = e.ID
		if e.Data == "be" {
			break
		}
	}
	_ = res.Body.Close() // the browser reloads the page

	close(more)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL+"/chats/7", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Last-Event-ID", last)
	res, err = http.DefaultClient.Do(req)
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
		fmt.Println("after the reload:", e.Data)
	}
	// Output:
	// To
	// be
	// after the reload: or
	// after the reload: not
}

// A run that is stopped ends with an event that says so.
func ExampleRunner_Stop() {
	var answers run.Runner
	ctx := context.Background()
	stream := answers.Start(ctx, "7", func(ctx context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "To be"}, nil) {
				<-ctx.Done()
			}
		}
	}, run.WithStarter("ada"))

	for e, err := range stream {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", e.Type, e.Data)
		if e.Type == "" {
			if err := answers.Stop(ctx, "7", core.Event{Type: "stopped"}); err != nil {
				fmt.Println(err)
			}
		}
	}
	state, err := answers.Get(ctx, "7")
	fmt.Println(state.Starter, state.Events, state.Err, err)
	// Output:
	//  "To be"
	// stopped ""
	// ada 2 run: the run was stopped <nil>
}

// Numbers for metrics.
func ExampleRunner_Stats() {
	var answers run.Runner
	for _, err := range answers.Start(context.Background(), "7", func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) { yield(core.Event{Data: "To be"}, nil) }
	}) {
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	s := answers.Stats()
	fmt.Println(s.Started, "started,", s.Running, "running,", s.Ended[run.Returned], "returned,", s.Held, "held")
	// Output:
	// 1 started, 0 running, 1 returned, 1 held
}
