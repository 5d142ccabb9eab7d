// Package fasthost serves streams on the connections of fasthttp. It is what the
// adapters of fiber v2 and v3 have in common.
package fasthost

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A Request is a request whose handler is running, as the framework knows it.
type Request struct {
	Adapter string        // the name of the adapter's package, for messages
	Route   func() string // the pattern that the framework's router has matched
	Ctx     *fasthttp.RequestCtx

	// The context that the framework keeps for its users.
	Context    func() context.Context
	SetContext func(context.Context)

	// View runs the view. The stream is nil if there is none to send.
	View func() (core.Stream, error)

	// Finish does to the response what the framework's middlewares would do when the
	// handler has returned, which is too late. It is called when a stream is about to
	// begin. The answer to its error has no cookies.
	Finish func() error

	// Name returns a copy of the request's method and path, for the log.
	Name func() string

	// Errorf writes to the framework's log.
	Errorf func(format string, args ...any)
}

// Serve runs the view and serves its stream. It returns true if it has taken the
// response over from fasthttp, to send a stream. The error is a [core.RefusedError] if
// the request has been refused, and a [core.StreamError] if the stream has failed.
func (r *Request) Serve(opts []core.Option) (streamed bool, err error) {
	if done := r.Ctx.Done(); done != nil {
		group, release := groupOf(done)
		defer release()
		opts = append(slices.Clip(opts), core.WithGroup(group))
	}
	before := r.Context()
	s, err := r.newSession(before, opts)
	if err != nil {
		return false, err
	}
	served := false
	defer func() {
		r.SetContext(before)
		if !served {
			s.Close(err)
		}
	}()

	r.SetContext(s.Context())
	body := guardBody(r.Ctx)
	stream, err := r.prepare()
	if err != nil || stream == nil {
		return false, err
	}
	all, err := body.drain(s)
	if refused := s.Refused(); refused != nil {
		return false, refused
	}
	if err != nil {
		return false, err
	}
	if !r.Ctx.IsHead() {
		if err := r.Finish(); err != nil {
			r.Ctx.Response.Header.DelAllCookies() // the middlewares would encrypt them once more
			return false, err
		}
	}
	h := &r.Ctx.Response.Header
	s.SetHeaders(header{h}, string(bytes.Join(r.Ctx.Request.Header.PeekAll(fasthttp.HeaderAcceptEncoding), []byte(","))))
	r.Ctx.SetStatusCode(fasthttp.StatusOK)
	if r.Ctx.IsHead() {
		return false, nil
	}
	s.Direct(string(r.Ctx.Method()))
	conn := r.takeOver()
	if served = all && s.Detaches() && conn.allowDetach(r, s, stream); served {
		return true, nil
	}
	served = true
	return true, conn.serve(r, s, stream)
}

// A header is a [host.Header].
type header struct{ *fasthttp.ResponseHeader }

func (h header) Get(name string) string { return string(h.Peek(name)) }

// newSession begins a session. Like prepare, it is a function of its own so that its stack space
// is free while the stream lasts.
func (r *Request) newSession(ctx context.Context, opts []core.Option) (*host.Session, error) {
	s, err := host.NewSession(ctx, core.Request{
		RemoteAddr:  r.Ctx.RemoteAddr().String(),
		Method:      string(r.Ctx.Method()),
		Path:        string(r.Ctx.Path()),
		Route:       r.Route(),
		LastEventID: string(r.Ctx.Request.Header.Peek("Last-Event-ID")),
	}, opts...)
	if err != nil {
		return nil, err
	}
	s.Query(func(name string) string { return string(r.Ctx.QueryArgs().Peek(name)) })
	return s, nil
}

// prepare runs the view and checks that its stream can be sent. The stream is nil if
// there is none to send. It is a function of its own so that its stack space is free
// while the stream lasts.
func (r *Request) prepare() (core.Stream, error) {
	before := answered(&r.Ctx.Response)
	stream, err := r.View()
	if err != nil || stream == nil {
		return nil, host.Answerable(err)
	}
	if !before && answered(&r.Ctx.Response) {
		return nil, fmt.Errorf("%s: the view has written a response and also returned a stream: return nil after an answer", r.Adapter)
	}
	return stream, r.checkConn()
}

// answered reports whether a handler has set a response's status or body.
func answered(r *fasthttp.Response) bool {
	return r.StatusCode() != fasthttp.StatusOK || r.IsBodyStream() || len(r.Body()) > 0
}

func (r *Request) refuse(why string) error { return Refuse(r.Adapter, why) }

// Refuse returns the error with which an adapter refuses a stream that it cannot send.
func Refuse(adapter, why string) error {
	return &core.RefusedError{Status: fasthttp.StatusInternalServerError, Err: fmt.Errorf("%s: %s", adapter, why)}
}
