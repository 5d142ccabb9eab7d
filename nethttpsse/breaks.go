package nethttpsse

import (
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/yieldsse/yieldsse/core"
)

// A breaking is a way to break a response so that the client notices. It depends on
// whose writer it is, because a method may return no error and do nothing.
type breaking int

const (
	// byDeadline: after a write deadline in the past, HTTP/1.1 ends without its last
	// chunk and HTTP/2 resets the stream, whatever middlewares do afterwards.
	byDeadline breaking = iota

	// byReset: the server's writer has a QUIC stream, which can be reset.
	byReset

	// byPipe: the server's writer has an [io.Pipe], whose reader gets an error.
	byPipe

	// byNothing: the writer belongs to a test.
	byNothing
)

// breakingOf returns how to break a response that goes to this writer of a server's, or
// a refusal if there is no way.
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

// pipeOf returns the function that breaks the pipe that a writer writes to, or nil.
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

// A quicStream carries an HTTP/3 response. It is a value with a method CancelWrite, or
// the zero Value.
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

// reset resets the stream, as after a failure of the server (RFC 9114, section 8.1).
func (s quicStream) reset() {
	const internalError = 0x102
	cancel := s.MethodByName("CancelWrite")
	cancel.Call([]reflect.Value{reflect.ValueOf(uint64(internalError)).Convert(cancel.Type().In(0))})
}
