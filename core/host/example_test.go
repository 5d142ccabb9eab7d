package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A response is what a session knows of net/http.
type response struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Send writes frames and pushes them to the client.
func (r response) Send(f host.Frames) error {
	if _, err := r.w.Write(f.Bytes()); err != nil {
		return err
	}
	return r.control.Flush()
}

// End leaves the end of the response to the handler's return.
func (r response) End() error { return nil }

// Abort has net/http break off the response, because its end cannot be written.
func (r response) Abort() { _ = r.control.SetWriteDeadline(time.Unix(1, 0)) }

// adapt makes a handler of a view.
func adapt(view func(ctx context.Context) core.Stream, opts ...core.Option) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := host.NewSession(r.Context(), core.Request{LastEventID: r.Header.Get("Last-Event-ID")}, opts...)
		if err != nil {
			refuse(w, err)
			return
		}
		stream := view(s.Context())
		if stream == nil { // the view has answered
			s.Close(nil)
			return
		}
		if err := s.Refused(); err != nil {
			s.Close(err)
			refuse(w, err)
			return
		}
		s.SetHeaders(w.Header(), r.Header.Get("Accept-Encoding"))
		if err := s.Serve(response{w, http.NewResponseController(w)}, stream); err != nil {
			fmt.Println("the server:", err)
		}
	})
}

func refuse(w http.ResponseWriter, err error) {
	if refused, ok := errors.AsType[*core.RefusedError](err); ok {
		http.Error(w, refused.Answer(), refused.Status)
	}
}

// This is the heart of an adapter for net/http. What nethttpsse does besides is about
// middlewares, request bodies and shutdown.
func Example() {
	server := httptest.NewServer(adapt(func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "Hello"}, nil) {
				yield(core.Event{}, errors.New("the database has gone"))
			}
		}
	}))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	for e, err := range core.Read(resp.Body) {
		if err != nil {
			fmt.Println("the client: the stream is not whole:", errors.Is(err, io.ErrUnexpectedEOF))
			return
		}
		fmt.Println("the client:", e.Data)
	}
	// Unordered output:
	// the client: Hello
	// the server: the database has gone
	// the client: the stream is not whole: true
}
