package nethttpsse

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/yieldsse/yieldsse/core"
)

// allowDetach lets the session take the connection. The client is told that it
// gets no other response on it.
func (c *conn) allowDetach(r *http.Request) {
	server := last(c.chain)
	hijacker, ok := server.(http.Hijacker)
	if !ok || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || fmt.Sprintf("%T", server) != responseType {
		return
	}
	c.hijacker, c.reporter = hijacker, reporterOf(r)
	c.w.Header().Set("Connection", "close")
}

// responseType is net/http's own writer. Another one may hold back what it is given, or
// send something else.
const responseType = "*http.response"

// Detach implements [host.Detacher]. By now the first frame has gone through the
// middlewares, so what they do to a response shows in its headers.
func (c *conn) Detach() (conn net.Conn, report func(error), ok bool) {
	if c.hijacker == nil || !c.whole {
		return nil, nil, false
	}
	for _, name := range []string{"Content-Encoding", "Transfer-Encoding", "Trailer"} {
		if c.w.Header()[name] != nil {
			return nil, nil, false
		}
	}
	conn, _, err := c.hijacker.Hijack() // what has been read ahead is for nobody
	c.detached = err == nil
	return conn, c.reporter.reportDetached, c.detached
}

// reportDetached also tells where a panic was, which no recovery will tell, and
// keeps quiet about one that net/http keeps quiet about.
func (r reporter) reportDetached(err error) {
	var p *core.PanicError
	switch {
	case !errors.As(err, &p):
		r.report(err)
	case p.Value == http.ErrAbortHandler: //nolint:errorlint // as net/http has it
	default:
		r.logger.Printf("nethttpsse: stream of %q: %v\n%s", r.request, err, p.Stack)
	}
}
