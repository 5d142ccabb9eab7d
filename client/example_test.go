package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
)

// shortLived sends two events on each connection, five in all, and continues after the
// last one that the client has.
func shortLived(w http.ResponseWriter, r *http.Request) {
	last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if last == 5 {
		w.WriteHeader(http.StatusNoContent) // there are no more events
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for n := last + 1; n <= min(last+2, 5); n++ {
		_, _ = fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", n, n)
	}
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(shortLived))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range client.Stream(req,
		client.WithBackoff(time.Millisecond, time.Second),
		client.WithDisconnected(func(err error, _ time.Duration) { fmt.Println(err) }),
	) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.ID, e.Data)
	}
	// Output:
	// 1 event 1
	// 2 event 2
	// client: the response has ended
	// 3 event 3
	// 4 event 4
	// client: the response has ended
	// 5 event 5
	// client: the response has ended
	// client: the server has stopped the stream (204 No Content)
}

// model answers a prompt like the servers of language models.
func model(w http.ResponseWriter, r *http.Request) {
	prompt, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	for word := range strings.FieldsSeq("You said: " + string(prompt)) {
		_, _ = fmt.Fprintf(w, "data: {\"text\": %q}\n\n", word)
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// The answer of a language model: a POST, values in JSON, and an event that marks the
// end. The request is not sent again, because that would be another question.
func ExampleStream_languageModel() {
	server := httptest.NewServer(http.HandlerFunc(model))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("good morning"))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer secret")
	answer := client.Stream(req, client.WithOnce("[DONE]"))

	type token struct{ Text string }
	for t, err := range core.DecodeJSON[token](answer) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(t.Text)
	}
	// Output:
	// You
	// said:
	// good
	// morning
}

// To resume after a restart, store the stream's position, even if no event has it.
func ExampleWithPositions() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "id: 1\ndata: for you\n\n")
		_, _ = io.WriteString(w, "id: 9\n\n") // the events since then are for others
	}))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	position := ""
	for e, err := range client.Stream(req, client.WithPositions("position"), client.WithOnce("")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if e.Type != "position" {
			fmt.Println(e.Data)
		}
		position = e.ID // when the event has been handled
	}
	fmt.Println("continue after", position)
	// Output:
	// for you
	// continue after 9
}

func ExampleResponseError() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, err := range client.Stream(req) {
		if refused, ok := errors.AsType[*client.ResponseError](err); ok {
			fmt.Printf("%d %s %q\n", refused.Status, refused.Header.Get("Content-Type"), refused.Body)
		}
	}
	// Output: 404 text/plain; charset=utf-8 "404 page not found\n"
}
