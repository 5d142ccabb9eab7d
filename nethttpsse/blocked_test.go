package nethttpsse

import (
	"context"
	"net/http"
	servertest "net/http/httptest"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// The connection of a stream on HTTP/2 is found as long as the stream is open, in each
// release of Go: a connection is not closed because of a stream that has ended.
func TestBlockedConnOf(t *testing.T) {
	found := make(chan bool, 2)
	srv := servertest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found <- blockedConnOf(w) != nil
		<-r.Context().Done() // the client has reset the stream
		found <- blockedConnOf(w) != nil
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		res, err := srv.Client().Do(r)
		if err == nil {
			_ = res.Body.Close()
		}
		done <- err
	}()
	if !hosttest.Receive(t, found, "the request") {
		t.Error("the connection of an open stream was not found")
	}
	cancel()
	if hosttest.Receive(t, found, "the end of the stream") {
		t.Error("a connection was found for a stream that has ended")
	}
	_ = hosttest.Receive(t, done, "the end of the request") // that it was cancelled
}
