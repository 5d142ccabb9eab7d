package nethttpsse

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// hasBody reports whether the response might have to wait for r's body. On HTTP/2
// and HTTP/3 none does.
func hasBody(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ContentLength != 0 || r.Body != nil && r.Body != http.NoBody)
}

// drain reads what the view has left of the request's body. net/http would wait
// for it before it sends the headers, and notices that the client leaves only when
// the body has been read to its end. It reports whether it has: not if the view has
// closed the body.
func (c *conn) drain(s *core.Session, r *http.Request) (all bool, err error) {
	if !hasBody(r) {
		return true, nil
	}
	c.guardBody(r)
	if r.Body == nil {
		return true, nil
	}
	err = core.DrainBody(s.Context(), r.Body, c.server.SetReadDeadline)
	if errors.Is(err, http.ErrBodyReadAfterClose) {
		return false, nil
	}
	if limit := new(http.MaxBytesError); errors.As(err, &limit) {
		err = &core.RefusedError{
			Status: http.StatusRequestEntityTooLarge,
			Err:    fmt.Errorf("nethttpsse: read the request's body: %w", limit),
		}
	}
	return err == nil, err
}

// guardBody looks whether a middleware has put something in front of the request's
// body. Then the end of that need not be the end of what net/http waits for, so the
// connection is closed after the stream, for which net/http does not wait.
func (c *conn) guardBody(r *http.Request) {
	switch fmt.Sprintf("%T", r.Body) {
	case "*http.body", "*http.expectContinueReader":
	default:
		if c.breaks == byDeadline {
			c.leftBody = true
			c.w.Header().Set("Connection", "close")
		}
	}
}

// leaveBody has net/http read no more of the request's body: not before the
// headers, since the connection is closed after the response, and not when the
// handler has returned, since every read fails. The client gets the response all
// the same.
func leaveBody(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	server := last(chainOf(w))
	_ = http.NewResponseController(server).SetReadDeadline(time.Unix(1, 0))
	closeSlowly(server)
}

// closeSlowly has net/http wait a little before it closes the connection, as it does
// after a request that was too large, which this one is made to look like. A
// connection that is closed with unread input is reset, and the client may lose the
// end of the response.
func closeSlowly(server http.ResponseWriter) {
	var b [1]byte
	_, _ = http.MaxBytesReader(server, io.NopCloser(strings.NewReader("more")), 0).Read(b[:])
}
