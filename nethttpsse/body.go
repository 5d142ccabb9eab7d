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
// and HTTP/3 none does. A middleware may have given the request another body, so
// what the server itself has read counts, if its writer shows that.
func hasBody(server http.ResponseWriter, r *http.Request) bool {
	if r.ProtoMajor != 1 {
		return false
	}
	if unread, ok := unreadBody(server); ok {
		return unread
	}
	return r.ContentLength != 0 || r.Body != nil && r.Body != http.NoBody
}

// unreadBody reports whether net/http has still to read some of a request's body.
// It is not ok if the writer's fields have other names than today; a test tells.
func unreadBody(server http.ResponseWriter) (unread, ok bool) {
	v := reflect.Indirect(reflect.ValueOf(server))
	if v.Kind() != reflect.Struct {
		return false, false
	}
	body := v.FieldByName("reqBody")
	if body.Kind() != reflect.Interface || body.IsNil() {
		return false, false
	}
	if body = body.Elem(); body.Type() == reflect.TypeOf(http.NoBody) {
		return false, true
	}
	if body = reflect.Indirect(body); body.Kind() != reflect.Struct {
		return false, false
	}
	end := fieldOf(body, reflect.Bool, "sawEOF")
	return end.IsValid() && !end.Bool(), end.IsValid()
}

// drain reads what the view has left of the request's body. net/http would wait
// for it before it sends the headers, and notices that the client leaves only when
// the body has been read to its end. It reports whether it has: not if the view has
// closed the body.
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
			Status: http.StatusRequestEntityTooLarge,
			Err:    fmt.Errorf("nethttpsse: read the request's body: %w", limit),
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

// behindAnother reports whether a middleware has put something in front of the
// request's body, and net/http has not come to the end of its own. The connection is
// closed after the stream then, and net/http does not wait for the rest.
func behindAnother(server http.ResponseWriter, body io.Reader) bool {
	switch fmt.Sprintf("%T", body) {
	case "*http.body", "*http.expectContinueReader":
		return false
	}
	unread, ok := unreadBody(server)
	return unread || !ok
}

// answerTimeout is how long a client may take to read why its request was refused.
// The server's WriteTimeout may have passed, because it counts from the request's start.
const answerTimeout = 5 * time.Second

// leaveBody has net/http read no more of the request's body: not before the
// headers, since the connection is closed after the response, and not when the
// handler has returned, since every read fails. The client gets the response all
// the same.
func leaveBody(w, server http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	control := http.NewResponseController(server)
	_ = control.SetReadDeadline(time.Unix(1, 0))
	_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
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
