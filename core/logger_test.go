package core_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

type anyone struct{ err error }

func (a anyone) Send(host.Frames) error { return a.err }
func (anyone) End() error               { return nil }
func (anyone) Abort()                   {}

// A logger has a line for what deserves one, with its level, and none for anything else.
func TestLogger(t *testing.T) {
	full := &core.Group{Limit: 1}
	one, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(full))
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close(nil)
	closing := new(core.Group)
	if err := closing.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	stream := func(err error) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "secret"}, nil) && err != nil {
				yield(core.Event{}, err)
			}
		}
	}
	late := func(yield func(core.Event, error) bool) {
		yield(core.Event{}, errors.New("pq: canceling statement due to user request"))
	}
	refused := func(status int) error {
		return &core.RefusedError{Status: status, Err: errors.New("a \"reason\"\nof the request's")}
	}
	for name, tt := range map[string]struct {
		opt    core.Option
		cause  error // of the request's end
		refuse error
		conn   host.Conn
		stream core.Stream
		want   string
	}{
		"a whole stream":                             {stream: stream(nil)},
		"a client that left":                         {cause: context.Canceled},
		"a driver's error after the client has left": {cause: context.Canceled, stream: late},
		"a driver's error after another cause":       {cause: errors.New("cut"), stream: late, want: `level=INFO msg="stream ended early" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 error=cut events=0`},
		"a panic after the client has left":          {cause: context.Canceled, stream: func(func(core.Event, error) bool) { panic("oh") }, want: `level=ERROR msg="stream failed" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 error="core: the generator panicked: oh`},
		"a failed stream":                            {stream: stream(errors.New("no more")), want: `level=ERROR msg="stream failed" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 error="no more" events=1 bytes=22 duration=`},
		"a slow client":                              {conn: anyone{core.ErrSlowClient}, cause: core.ErrSlowClient, want: `level=WARN msg="client does not read" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 error="core: the client does not read"`},
		"another cause":                              {cause: errors.New("cut"), want: `level=INFO msg="stream ended early" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 error=cut events=0`},
		"a full group":                               {opt: core.WithGroup(full), want: `level=WARN msg="stream refused" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 status=503 error="core: the group is full"`},
		"a shutdown":                                 {opt: core.WithGroup(closing), want: `level=INFO msg="stream refused" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 status=503 error="core: the server is shutting down"`},
		"a bad set-up":                               {refuse: refused(http.StatusInternalServerError), want: `level=ERROR msg="stream refused" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 status=500 error="a \"reason\"\nof the request's"`},
		"the client's own":                           {refuse: refused(http.StatusNoContent), want: `level=DEBUG msg="stream refused" method=GET path="/a \"path\"\n" remote=192.0.2.1:80 status=204`},
	} {
		t.Run(name, func(t *testing.T) {
			var lines bytes.Buffer
			l := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s, err := host.NewSession(ctx, core.Request{Method: "GET", Path: "/a \"path\"\n", RemoteAddr: "192.0.2.1:80"}, core.WithLogger(nil), core.WithLogger(l), core.WithHeartbeat(time.Hour), tt.opt)
			switch {
			case err != nil:
			case tt.refuse != nil:
				s.Close(tt.refuse)
			default:
				if tt.cause != nil {
					cancel(tt.cause)
					<-s.Context().Done()
				}
				conn := tt.conn
				if conn == nil {
					conn = anyone{}
				}
				func() {
					defer func() { _ = recover() }() // what the stream panics with
					_ = s.Serve(conn, tt.stream)
				}()
			}
			got := lines.String()
			if _, line, _ := strings.Cut(got, " "); !strings.HasPrefix(line, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if strings.Count(got, "\n") > 1 || strings.Contains(got, "secret") {
				t.Errorf("got %q, want one line without an event's data", got)
			}
		})
	}
}
