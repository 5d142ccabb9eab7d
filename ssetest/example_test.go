package ssetest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// counter is the handler under test. It continues after the client's last event ID.
func counter(w http.ResponseWriter, r *http.Request) {
	last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	w.Header().Set("Content-Type", "text/event-stream")
	for n := last + 1; r.Context().Err() == nil; n++ {
		frame, _ := core.Event{ID: strconv.Itoa(n), Type: "count"}.AppendText(nil)
		_, _ = w.Write(frame)
		_ = http.NewResponseController(w).Flush()
	}
}

func Example() {
	t := new(T) // in a test, its own *testing.T
	defer t.end()

	s := ssetest.Open(t, ssetest.Serve(t, http.HandlerFunc(counter)))
	fmt.Println(s.Status, s.Header.Get("Content-Type"))

	ssetest.Equal(t, s.Collect(2), []core.Event{
		{ID: "1", Type: "count"},
		{ID: "2", Type: "count"},
	})
	s.Resume() // drops the connection, and reconnects with the last event ID
	ssetest.Equal(t, s.Collect(2), []core.Event{
		{ID: "3", Type: "count"},
		{ID: "5", Type: "count"}, // wrong
	})
	// Output:
	// 200 text/event-stream
	// ssetest: got 2 events, want 2 (- want, + got):
	//   id "3", type "count", data ""
	// - id "5", type "count", data ""
	// + id "4", type "count", data ""
}

// A T replaces the *testing.T that an example does not have.
type T struct {
	testing.TB

	cleanups []func()
}

func (*T) Helper() {}

func (*T) Errorf(format string, args ...any) { fmt.Printf(format, args...) }

func (t *T) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *T) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}
