package fibersse

import (
	"context"
	"math"
	"net"
	"runtime/debug"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/log"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/yieldsse/yieldsse/core"
)

// allowDetach has fasthttp start the session when the handler has returned, or
// reports that the session has to stay in it. fasthttp has sent by then what it may
// still hold of its answers to earlier requests (RFC 9112, section 9.3.2).
func (s *conn) allowDetach(c *fiber.Ctx, session *core.Session, stream core.Stream) bool {
	if !s.chunked || ends(c) {
		return false
	}
	own, ok := duplicate(s.Conn)
	if !ok {
		return false
	}
	s.own, s.report = own, reporter(utils.CopyString(c.Method()), utils.CopyString(c.Path()))
	session.Outlive()
	stop := context.AfterFunc(session.Context(), session.Close) // nobody is to wait for it until it begins
	closed := false
	s.watch(math.MaxInt, func() { // fasthttp does not get rid of its answers, or the client has left
		closed = true
		session.ClientGone()
		session.Close()
		_ = own.Close()
	})
	c.Context().Hijack(func(net.Conn) {
		stop()
		if s.unwatch(); !closed {
			s.begin(session, stream)
		}
	})
	return true
}

// ends reports whether the request's context has values that fasthttp reuses when
// the handler has returned: those of c.Context().
func ends(c *fiber.Ctx) bool {
	type key struct{}
	c.Context().SetUserValue(key{}, true)
	defer c.Context().RemoveUserValue(key{})
	return c.UserContext().Value(key{}) != nil
}

// begin serves the session, which leaves in the course of it.
func (s *conn) begin(session *core.Session, stream core.Stream) {
	defer func() {
		if s.own != nil { // nobody was there to stream to
			_ = s.own.Close()
		}
		if v := recover(); v != nil { // of a function of the application's that is called at the beginning
			s.report(&core.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	if err := session.Serve(s, stream); err != nil {
		s.report(err)
	}
}

// Detach implements [core.Detacher].
func (s *conn) Detach() (own net.Conn, report func(error), ok bool) {
	own, s.own = s.own, nil
	return own, s.report, own != nil
}

// reporter returns what writes a stream's failure to fiber's log, for the error
// handler's time is over. A panic has its stack there, since no recovery tells it.
func reporter(method, path string) func(error) {
	return func(err error) {
		if p, ok := err.(*core.PanicError); ok { //nolint:errorlint // the session's own
			log.Errorf("fibersse: stream of %s %s: %v\n%s", method, path, err, p.Stack)
			return
		}
		log.Errorf("fibersse: stream of %s %s: %v", method, path, err)
	}
}
