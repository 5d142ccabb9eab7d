package fibersse

import (
	"net"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/log"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/yieldsse/yieldsse/core"
)

// allowDetach lets the session take the connection, if that can be done.
func (s *conn) allowDetach(c *fiber.Ctx) {
	if s.chunked {
		s.report = reporter(utils.CopyString(c.Method()), utils.CopyString(c.Path()))
	}
}

// Detach implements [core.Detacher]. fasthttp closes the connection when the
// handler has returned, so the session gets a duplicate, which stays open.
func (s *conn) Detach() (own net.Conn, report func(error), ok bool) {
	if s.report == nil {
		return nil, nil, false
	}
	own, ok = duplicate(s.Conn)
	return own, s.report, ok
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
