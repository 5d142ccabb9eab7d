package nethttpsse

import (
	"fmt"
	"io"
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

	// byPipe: what is written goes through an [io.Pipe], whose reader gets an error.
	byPipe

	// byNothing: the writer is a test's.
	byNothing
)

// breakingOf returns how a response can be broken that ends in a server's own writer,
// or a refusal if it cannot.
func breakingOf(server http.ResponseWriter) (breaking, error) {
	switch pkg := packageOf(server); {
	case pkg == httptest:
		return byNothing, nil
	case pkg == lambdaurl && pipeOf(server) != nil:
		return byPipe, nil
	case pkg == http3 && underServer():
		return byPanic, nil
	case pkg != http3 && pkg != lambdaurl:
		return byDeadline, nil
	}
	return 0, &core.RefusedError{
		Status: http.StatusInternalServerError,
		Err: fmt.Errorf("nethttpsse: a %T cannot break a response, and a stream that fails would look whole: "+
			"take the route out of the middleware or the adapter that made it", server),
	}
}

// pipeOf returns what breaks the pipe that a writer writes to, or nil.
func pipeOf(server http.ResponseWriter) func(error) error {
	v := reflect.Indirect(reflect.ValueOf(server)).FieldByName("writer")
	if v.Kind() != reflect.Interface || v.IsNil() {
		return nil
	}
	if pipe, ok := reflect.TypeAssert[*io.PipeWriter](readable(v).Elem()); ok {
		return pipe.CloseWithError
	}
	return nil
}

// underServer reports whether this goroutine is one of the server's, which recovers
// http.ErrAbortHandler. A panic does not leave the goroutine of a middleware's,
// whatever stands around it.
func underServer() bool {
	pcs := make([]uintptr, 128)
	n := runtime.Callers(0, pcs)
	for n == len(pcs) {
		pcs = make([]uintptr, 2*n)
		n = runtime.Callers(0, pcs)
	}
	for frames := runtime.CallersFrames(pcs[:n]); ; {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, http3+".") {
			return true
		}
		if !more {
			return false
		}
	}
}
