package nethttpsse

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// hasBody reports whether the response might have to wait for r's body. On HTTP/2
// and HTTP/3 it never has to. A middleware may have replaced the body, so what counts
// is how much the server itself has read, if its writer shows that.
func hasBody(server http.ResponseWriter, r *http.Request) bool {
	if r.ProtoMajor != 1 {
		return false
	}
	if unread, ok := unreadBody(server); ok {
		return unread
	}
	return r.ContentLength != 0 || r.Body != nil && r.Body != http.NoBody
}

// unreadBody reports whether net/http still has to read some of a request's body.
// ok is false if a new release of Go has renamed the writer's fields; a test notices.
func unreadBody(server http.ResponseWriter) (unread, ok bool) {
	v := reflect.Indirect(reflect.ValueOf(server))
	if v.Kind() != reflect.Struct {
		return false, false
	}
	body := v.FieldByName("reqBody")
	switch {
	case body.Kind() == reflect.Pointer && body.IsNil():
		return false, true
	case body.Kind() == reflect.Interface && !body.IsNil(): // before Go 1.27
		if body = body.Elem(); body.Type() == reflect.TypeOf(http.NoBody) {
			return false, true
		}
	}
	if body = reflect.Indirect(body); body.Kind() != reflect.Struct {
		return false, false
	}
	end := fieldOf(body, reflect.Bool, "sawEOF")
	return end.IsValid() && !end.Bool(), end.IsValid()
}

// drain reads the part of the request's body that the view has not read. net/http would
// wait for it before it sends the headers, and notices that the client leaves only when
// the body has been read to its end. all reports whether it has been: not if the view
// has closed the body.
func (c *conn) drain(s *host.Session, r *http.Request) (all bool, err error) {
	server := last(c.chain)
	if !hasBody(server, r) {
		return true, nil
	}
	if r.Body != nil {
		err = host.DrainBody(s.Context(), r.Body, c.server.SetReadDeadline)
	}
	if limit := new(http.MaxBytesError); errors.As(err, &limit) {
		return false, &core.RefusedError{
			Status:  http.StatusRequestEntityTooLarge,
			Message: "The request's body is too large.",
			Err:     fmt.Errorf("nethttpsse: read the request's body: %w", limit),
		}
	}
	if all = !errors.Is(err, http.ErrBodyReadAfterClose); !all {
		err = nil
	}
	if c.breaks == byDeadline && behindAnother(server, r.Body) {
		c.leftBody = true
		c.w.Header().Set("Connection", "close")
	}
	return all && err == nil, err
}

// behindAnother reports whether a middleware has wrapped the request's body, and
// net/http has not reached the end of its own. Then the connection is closed after the
// stream, and net/http does not wait for the rest.
func behindAnother(server http.ResponseWriter, body io.Reader) bool {
	switch fmt.Sprintf("%T", body) {
	case "*http.body", "*http.expectContinueReader":
		return false
	}
	unread, ok := unreadBody(server)
	return unread || !ok
}

// answerTimeout is how long a client may take to read the refusal of its request.
// The server's WriteTimeout may have passed, because it counts from the request's start.
const answerTimeout = 5 * time.Second

// leaveBody makes net/http read no more of the request's body: not before the
// headers, because the connection is closed after the response, and not when the
// handler has returned, because every read fails. The client still gets the response.
func leaveBody(w, server http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	control := http.NewResponseController(server)
	_ = control.SetReadDeadline(time.Unix(1, 0))
	_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
	closeSlowly(server)
}

// closeSlowly makes net/http wait a little before it closes the connection, by making
// the request look too large. A connection that is closed with unread input is reset,
// and the client may lose the end of the response.
func closeSlowly(server http.ResponseWriter) {
	var b [1]byte
	_, _ = http.MaxBytesReader(server, io.NopCloser(strings.NewReader("more")), 0).Read(b[:])
}
