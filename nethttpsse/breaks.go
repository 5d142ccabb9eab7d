package nethttpsse

import (
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// A breaking is how a response can be made to look broken. That a method of some
// writer's returns no error proves nothing, so it depends on who made the writer.
type breaking int

const (
	// byDeadline: after a write deadline in the past, HTTP/1.1 ends without its last
	// chunk and HTTP/2 resets the stream, whatever middlewares do on the way out.
	byDeadline breaking = iota

	// byPanic: the server recovers http.ErrAbortHandler and breaks the response,
	// unless a middleware has recovered it before.
	byPanic

	// byNothing: the writer is a test's.
	byNothing
)

// breakingOf returns how a response to r can be broken that ends in the writer
// last, or a refusal if it cannot.
func breakingOf(last http.ResponseWriter, r *http.Request) (breaking, error) {
	t := reflect.TypeOf(last)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, deadlines := last.(deadliner)
	switch pkg := t.PkgPath(); {
	case deadlines && (pkg == "net/http" || strings.HasPrefix(pkg, "net/http/internal/") || pkg == "golang.org/x/net/http2"):
		return byDeadline, nil
	case pkg == "net/http/httptest":
		return byNothing, nil
	case !r.ProtoAtLeast(1, 1):
		return 0, &core.RefusedError{
			Status: http.StatusInternalServerError,
			Err: fmt.Errorf("nethttpsse: a %T hides the connection, which is needed to break a response of HTTP/1.0: "+
				"give it an Unwrap method, or have the proxy in front speak HTTP/1.1", last),
		}
	case underServer():
		return byPanic, nil
	}
	return 0, &core.RefusedError{
		Status: http.StatusInternalServerError,
		Err: fmt.Errorf("nethttpsse: a %T cannot break a response, and a stream that fails would look whole: "+
			"take the route out of the middleware or the adapter that made it", last),
	}
}

// serving begin the names of functions of servers that call a handler and recover
// http.ErrAbortHandler.
var serving = []string{
	"net/http.(*conn).serve",
	"net/http.(*http2serverConn).",
	"net/http/internal/http2.",
	"golang.org/x/net/http2.",
	"github.com/quic-go/quic-go/http3.",
}

// underServer reports whether this goroutine is such a server's. A panic does not
// leave the goroutine of a middleware's, whatever stands around it.
func underServer() bool {
	pcs := make([]uintptr, 128)
	n := runtime.Callers(0, pcs)
	for n == len(pcs) {
		pcs = make([]uintptr, 2*n)
		n = runtime.Callers(0, pcs)
	}
	for frames := runtime.CallersFrames(pcs[:n]); ; {
		frame, more := frames.Next()
		for _, name := range serving {
			if strings.HasPrefix(frame.Function, name) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}
