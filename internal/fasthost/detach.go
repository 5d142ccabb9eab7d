package fasthost

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// allowDetach makes fasthttp start the session when the handler has returned, or reports
// that the session has to stay in the handler. By then fasthttp has sent the answers to
// earlier requests that it may still hold (RFC 9112, section 9.3.2).
func (s *conn) allowDetach(r *Request, session *host.Session, stream core.Stream) bool {
	if !s.chunked || r.ends() {
		return false
	}
	own, ok := netpoll.Duplicate(s.Conn)
	if !ok {
		return false
	}
	s.own, s.report = own, r.reporter()
	session.Outlive()
	// A session that ends before fasthttp has started it is closed here, so that a
	// shutdown does not have to wait for fasthttp. Only stop says which came first.
	stop := context.AfterFunc(session.Context(), func() {
		defer own.Close()
		defer s.reportPanic() // of an observer, in a goroutine of its own
		session.Close(session.Refused())
	})
	s.watched = make(chan struct{})
	go func() { // in case the client leaves before fasthttp can send its answers
		defer close(s.watched)
		s.listen(math.MaxInt, session.ClientGone)
	}()
	r.Ctx.Hijack(func(c net.Conn) {
		returned := false
		defer func() {
			if returned {
				closeHijacked(c)
			} else {
				_ = s.Close() // because fasthttp does not after runtime.Goexit, even if a panic came behind it
			}
		}()
		begins := stop()
		_ = s.SetReadDeadline(time.Unix(1, 0))
		<-s.watched
		if begins {
			s.begin(session, stream)
		} else {
			s.refuseLate(session.Refused())
		}
		returned = true
	})
	return true
}

// reportPanic reports a panic of a function of the application's, which would end the process. It is deferred.
func (s *conn) reportPanic() {
	if v := recover(); v != nil {
		s.report(&core.PanicError{Value: v, Stack: debug.Stack()})
	}
}

// refuseLate answers a client whose session has been refused before it began.
func (s *conn) refuseLate(why error) {
	var refused *core.RefusedError
	if !errors.As(why, &refused) {
		return // the client has gone
	}
	after := ""
	if refused.RetryAfter > 0 {
		after = fmt.Sprintf("Retry-After: %d\r\n", int(refused.RetryAfter.Seconds()))
	}
	body := ""
	if refused.Status != fasthttp.StatusNoContent && refused.Status != fasthttp.StatusNotModified {
		body = refused.Answer()
	}
	_ = s.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(s.Conn, "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s",
		refused.Status, fasthttp.StatusMessage(refused.Status), after, len(body), body)
	host.Linger(s.Conn)
}

// ends reports whether the request's context derives from fasthttp's, whose values
// fasthttp reuses when the handler has returned.
func (r *Request) ends() bool {
	type key struct{}
	r.Ctx.SetUserValue(key{}, true)
	defer r.Ctx.RemoveUserValue(key{})
	return r.Context().Value(key{}) != nil
}

// begin serves the session, which takes the connection on the way.
func (s *conn) begin(session *host.Session, stream core.Stream) {
	returned := false
	defer func() {
		if s.own != nil { // the session has not taken it
			_ = s.own.Close()
			s.hangUp()
		}
		if returned {
			return
		}
		v := recover() // from a function of the application's that is called at the beginning
		s.report(&core.PanicError{Value: v, Stack: debug.Stack()})
	}()
	if err := session.Serve(s, stream); err != nil {
		s.report(err)
	}
	returned = true
}

// Detach implements [host.Detacher].
func (s *conn) Detach() (own net.Conn, report func(error), ok bool) {
	own, s.own = s.own, nil
	return own, s.report, own != nil
}

// reporter returns the function that writes a stream's failure to fiber's log, because
// the error handler can no longer be called. It adds the stack of a panic, because no
// recovery middleware will.
func (r *Request) reporter() func(error) {
	adapter, request, errorf := r.Adapter, r.Name(), r.Errorf // the client has chosen the name, so it is quoted
	return func(err error) {
		if p, ok := errors.AsType[*core.PanicError](err); ok {
			errorf("%s\n%s", host.FailureLine(adapter, request, err), p.Stack)
			return
		}
		errorf("%s", host.FailureLine(adapter, request, err))
	}
}
