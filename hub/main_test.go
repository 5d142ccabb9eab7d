package hub_test

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.Parallel()
	ssetest.Main(m)
}

// patience is how long a test waits for something that should come at once.
const patience = time.Minute

// soon returns a context that ends, and fails the test, after patience.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() {
		if ctx.Err() != nil {
			t.Errorf("something took %v", patience)
		}
		cancel()
	})
	return ctx
}

// publish publishes an event with this data, and returns its ID.
func publish(t testing.TB, h *hub.Hub, topic, data string, opts ...hub.PublishOption) (id string) {
	t.Helper()
	id, err := h.Publish(context.Background(), topic, core.Event{Data: data}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// publishAll publishes an event for each word.
func publishAll(t testing.TB, h *hub.Hub, topic, words string) {
	t.Helper()
	for word := range strings.FieldsSeq(words) {
		publish(t, h, topic, word)
	}
}

// number returns the number of an event, from its ID.
func number(t testing.TB, id string) uint64 {
	t.Helper()
	_, digits, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		t.Fatalf("%q is not an ID of a hub: %v", id, err)
	}
	return n
}

// idOf returns the ID of the event of that number.
func idOf(h *hub.Hub, n int) string {
	epoch, _, _ := strings.Cut(h.LastID(), "-")
	return epoch + "-" + strconv.Itoa(n)
}

// A reader ranges over a stream, one step at a time.
type reader struct {
	t    testing.TB
	next func() (core.Event, error, bool)
	stop func()
}

// read runs a stream. Its context must end if nothing comes. The subscription begins
// with the first step.
func read(t testing.TB, s core.Stream) *reader {
	next, stop := iter.Pull2(s)
	t.Cleanup(stop)
	return &reader{t, next, stop}
}

func (r *reader) event() core.Event {
	r.t.Helper()
	e, err, ok := r.next()
	switch {
	case !ok:
		r.t.Fatal("the stream has ended")
	case err != nil:
		r.t.Fatalf("the stream has failed: %v", err)
	}
	return e
}

// want takes as many events as there are words, which are their data, or "GAP" with its reason.
func (r *reader) want(words string) {
	r.t.Helper()
	for word := range strings.FieldsSeq(words) {
		if got := summary(r.event()); got != word {
			r.t.Fatalf("got %s, want %s of %q", got, word, words)
		}
	}
}

// end takes the stream's end, and the error that came before it.
func (r *reader) end() error {
	r.t.Helper()
	e, err, ok := r.next()
	if !ok {
		return nil
	}
	if err == nil {
		r.t.Fatalf("got the event %+v, want the end", e)
	}
	if e, err, ok := r.next(); ok {
		r.t.Fatalf("got the event %+v and the error %v after an error", e, err)
	}
	return err
}

// rest returns a summary of what is left of a stream that ends.
func (r *reader) rest() string {
	r.t.Helper()
	var words []string
	for {
		e, err, ok := r.next()
		switch {
		case !ok:
			return strings.Join(words, " ")
		case err != nil:
			r.t.Fatalf("the stream has failed: %v", err)
		}
		words = append(words, summary(e))
	}
}

// summary returns an event's data, or "GAP" with its reason.
func summary(e core.Event) string {
	if gap, err := parseGap(e); err == nil && e.Type == "gap" {
		return "GAP:" + string(gap.Reason)
	}
	return e.Data
}

func parseGap(e core.Event) (gap hub.Gap, err error) {
	return gap, json.Unmarshal([]byte(e.Data), &gap)
}

func summaries(events []core.Event) string {
	words := make([]string, 0, len(events))
	for _, e := range events {
		words = append(words, summary(e))
	}
	return strings.Join(words, " ")
}

// gapOf reads a gap event.
func gapOf(t testing.TB, e core.Event) hub.Gap {
	t.Helper()
	gap, err := parseGap(e)
	if err != nil || e.Type != "gap" {
		t.Fatalf("%+v is not a gap event: %v", e, err)
	}
	if e.ID != gap.Through {
		t.Errorf("got ID %q of the gap event, want its Through, %q", e.ID, gap.Through)
	}
	return gap
}

// oldest stands for hub.Oldest in the queries of serve's clients. Nothing stands for hub.Now.
const oldest = "oldest"

func positionOf(word string) hub.Position {
	if word == oldest {
		return hub.Oldest
	}
	return hub.After(word)
}

// serve serves h: ?topic=T&topic=U&from=ID. With &decode the view's own generator ranges over
// the hub's stream, and with &detach the session is detached.
func serve(t testing.TB, h *hub.Hub, opts ...core.Option) (url string) {
	t.Helper()
	return ssetest.Serve(t, view(h, opts...)) + "/?"
}

// serveTLS is serve under TLS, with HTTP/1.1 only.
func serveTLS(t testing.TB, h *hub.Hub, opts ...core.Option) (url string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(view(h, opts...))
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL + "/?"
}

func view(h *hub.Hub, opts ...core.Option) http.Handler {
	view := func(_ http.ResponseWriter, r *http.Request) core.Stream {
		query := r.URL.Query()
		s := h.SubscribeFrom(r.Context(), positionOf(query.Get("from")), query["topic"]...)
		if then, ok := r.Context().Value(subscribed{}).(func()); ok {
			then()
		}
		if !query.Has("decode") {
			return s
		}
		return func(yield func(core.Event, error) bool) {
			for e, err := range s {
				if !yield(e, err) {
					return
				}
			}
		}
	}
	attached := nethttpsse.Handler(view, opts...)
	detached := nethttpsse.Handler(view, append(opts, core.WithDetach())...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("detach") {
			detached.ServeHTTP(w, r)
		} else {
			attached.ServeHTTP(w, r)
		}
	})
}

// sorted returns a sorted copy.
func sorted(words []string) []string { return slices.Sorted(slices.Values(words)) }
