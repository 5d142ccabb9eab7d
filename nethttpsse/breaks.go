package nethttpsse

import (
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/yieldsse/yieldsse/core"
)

// A breaking is how a response can be made to look broken. That a method of some
// writer's returns no error proves nothing, so it depends on who made the writer.
type breaking int

const (
	// byDeadline: after a write deadline in the past, HTTP/1.1 ends without its last
	// chunk and HTTP/2 resets the stream, whatever middlewares do on the way out.
	byDeadline breaking = iota

	// byReset: the server's writer has a stream of QUIC, which can be reset.
	byReset

	// byPipe: what is written goes through an [io.Pipe], whose reader gets an error.
	byPipe

	// byNothing: the writer is a test's.
	byNothing
)

// breakingOf returns how a response can be broken that ends in a server's own writer,
// or a refusal if it cannot.
func breakingOf(server http.ResponseWriter, r *http.Request) (breaking, error) {
	switch pkg := packageOf(server); {
	case pkg == httptest && r.Context().Value(http.LocalAddrContextKey) != nil: // under a server
		return 0, refuse("a %T keeps the response, and so the stream:", server)
	case pkg == httptest:
		return byNothing, nil
	case pkg == lambdaurl && pipeOf(server) != nil:
		return byPipe, nil
	case pkg == http3 && streamOf(server).IsValid():
		return byReset, nil
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

// A quicStream is what an HTTP/3 response is written to: a value with a method
// CancelWrite, or nothing.
type quicStream struct{ reflect.Value }

func streamOf(server http.ResponseWriter) quicStream {
	v := reflect.Indirect(reflect.ValueOf(server)).FieldByName("str")
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return quicStream{}
	}
	v = readable(v)
	if m, ok := v.Type().MethodByName("CancelWrite"); !ok || m.Type.NumIn() != 2 || !m.Type.In(1).ConvertibleTo(reflect.TypeFor[uint64]()) {
		return quicStream{}
	}
	return quicStream{v}
}

// reset resets the stream, as a server does that has failed (RFC 9114, section 8.1).
func (s quicStream) reset() {
	const internalError = 0x102
	cancel := s.MethodByName("CancelWrite")
	cancel.Call([]reflect.Value{reflect.ValueOf(uint64(internalError)).Convert(cancel.Type().In(0))})
}
