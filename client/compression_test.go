package client_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A stream that net/http decodes comes event by event, and its end is told right.
func TestCompression(t *testing.T) {
	failure := errors.New("the stream fails")
	for _, tt := range []struct {
		name string
		fail error
		want error
	}{
		{"whole", nil, client.ErrEnded},
		{"broken", failure, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			step, encodings := make(chan struct{}), make(chan string, 1)
			handler := nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
				ctx := r.Context()
				encodings <- r.Header.Get("Accept-Encoding")
				return func(yield func(core.Event, error) bool) {
					for _, e := range numbered(1, 5) {
						if !yield(e, nil) {
							return
						}
						select {
						case <-step:
						case <-ctx.Done():
						}
					}
					if tt.fail != nil {
						yield(core.Event{}, tt.fail)
					}
				}
			}, core.WithCompression())
			req := get(t, ssetest.Serve(t, handler)).WithContext(within(t))
			req.Header["Accept-Encoding"] = nil
			var got []core.Event
			var end error
			for e, err := range client.Stream(req, once()) {
				if err != nil {
					end = err
					break
				}
				got = append(got, e)
				step <- struct{}{}
			}
			ssetest.Equal(t, got, numbered(1, 5))
			wantErr(t, end, tt.want)
			if got := <-encodings; got != "gzip" {
				t.Errorf("the request accepts %q, want gzip", got)
			}
		})
	}
}
