package hub_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

// Those who follow a hub that finishes get all of it, and its end; so do those who come
// later.
func TestFinish(t *testing.T) {
	failure := errors.New("the model is overloaded")
	gap := &hub.GapError{Gap: hub.Gap{Reason: hub.GapExpired}}
	for _, end := range []error{
		nil, failure, io.EOF, fmt.Errorf("the file: %w", io.EOF), core.ErrShutdown, gap, fmt.Errorf("another hub: %w", gap),
	} {
		for _, query := range []string{"", "&decode", "&detach"} {
			t.Run(fmt.Sprint(end, query), func(t *testing.T) {
				h := hub.New()
				url := serve(t, h, core.WithErrorEvent(func(err error) core.Event {
					return core.Event{Data: err.Error()}
				})) + "topic=t&from=oldest" + query
				early, body := get(t, url)
				publishAll(t, h, "t", "one two three")
				if err := h.Finish(end); err != nil {
					t.Fatal(err)
				}
				want := "one two three"
				if end != nil {
					want += " " + end.Error()
				}
				if got := dataOf(t, body); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				_ = early.Body.Close()
				late, body := get(t, url)
				if got := dataOf(t, body); got != want {
					t.Errorf("later: got %q, want %q", got, want)
				}
				_ = late.Body.Close()
				if _, err := h.Publish(t.Context(), "t", core.Event{}); !errors.Is(err, hub.ErrFinished) {
					t.Errorf("Publish: got %v, want %v", err, hub.ErrFinished)
				}
				if err := h.Finish(nil); !errors.Is(err, hub.ErrFinished) {
					t.Errorf("Finish: got %v, want %v", err, hub.ErrFinished)
				}
				r := read(t, h.SubscribeFrom(soon(t), hub.Oldest, "t"))
				r.want("one two three")
				err := r.end()
				if !errors.Is(err, end) || (err == nil) != (end == nil) {
					t.Errorf("the stream's end: got %v, want %v", err, end)
				}
				if _, missing := errors.AsType[*hub.GapError](err); missing {
					t.Errorf("%v can be taken for a gap in the stream", err)
				}
			})
		}
	}
}

// get sends a request, and returns when it has joined.
func get(t *testing.T, url string) (*http.Response, io.Reader) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res, res.Body
}

// dataOf returns the data of a stream that ends well.
func dataOf(t *testing.T, r io.Reader) string {
	t.Helper()
	var data []string
	for e, err := range core.Read(r) {
		if err != nil {
			t.Errorf("got the error %v after %q", err, data)
			break
		}
		data = append(data, e.Data)
	}
	return strings.Join(data, " ")
}

func TestFinishOverLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := over(t, new(hubtest.MemoryLog)).Finish(nil); err == nil {
			t.Error("a hub over a log has finished")
		}
	})
}
