package nethttpsse

import (
	"errors"
	"log"
	"net"
	"net/http"
	"reflect"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// allowDetach lets the session take the connection, and tells the client that no other
// response follows on it.
func (c *conn) allowDetach(r *http.Request) {
	server := last(c.chain)
	hijacker, ok := server.(http.Hijacker)
	if !ok || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || reflect.TypeOf(server).String() != responseType {
		return
	}
	c.hijacker, c.logger = hijacker, loggerOf(r)
	c.w.Header().Set("Connection", "close")
}

// responseType is net/http's own writer. Another one may hold bytes back or change them.
const responseType = "*http.response"

// Detach implements [host.Detacher]. By now the first frame has passed through the
// middlewares, so the headers show what they do to the response.
func (c *conn) Detach() (conn net.Conn, report func(error), ok bool) {
	if c.hijacker == nil || !c.whole {
		return nil, nil, false
	}
	h := c.w.Header()
	if h["Content-Encoding"] != nil && !c.session.Compresses() || h["Transfer-Encoding"] != nil || h["Trailer"] != nil {
		return nil, nil, false
	}
	conn, _, err := c.hijacker.Hijack() // input that was read ahead is dropped
	c.detached = err == nil
	return conn, reporter{c.logger, c.session}.report, c.detached
}

// A reporter writes the failure of a detached session's stream to the server's ErrorLog.
type reporter struct {
	logger  *log.Logger
	session *host.Session // which has the request's method and path
}

// report adds the stack of a panic, because no recovery will log it, and ignores the panic that
// net/http ignores.
func (r reporter) report(err error) {
	request := core.RequestOf(r.session.Context())
	line := host.FailureLine("nethttpsse", request.Method+" "+request.Path, err)
	var p *core.PanicError
	switch {
	case !errors.As(err, &p):
		r.logger.Print(line)
	case p.Value == http.ErrAbortHandler: //nolint:errorlint // as net/http compares it
	default:
		r.logger.Printf("%s\n%s", line, p.Stack)
	}
}
