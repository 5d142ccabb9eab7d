package ginsse

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/gin-gonic/gin"
)

// A writer adds to gin's writer, or to a middleware's, what net/http needs to see
// below it.
type writer struct {
	gin.ResponseWriter

	next http.ResponseWriter // what it wraps
	own  bool                // it is gin's own, which passes on all that it gets
}

// newWriter finds out what w wraps. gin's own writer has an Unwrap method.
// Middlewares wrap by embedding a gin.ResponseWriter, and seldom have one; but
// the embedded field is exported.
func newWriter(w gin.ResponseWriter) *writer {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return &writer{w, u.Unwrap(), true}
	}
	wrapped := &writer{ResponseWriter: w}
	v := reflect.Indirect(reflect.ValueOf(w))
	if v.Kind() != reflect.Struct {
		return wrapped
	}
	field := v.FieldByName("ResponseWriter")
	if !field.IsValid() || !field.CanInterface() {
		return wrapped
	}
	switch next := field.Interface().(type) {
	case gin.ResponseWriter:
		wrapped.next = newWriter(next)
	case http.ResponseWriter:
		wrapped.next = next
	}
	return wrapped
}

// Unwrap returns the next writer, or nil if it is not known.
func (w *writer) Unwrap() http.ResponseWriter { return w.next }

// FlushError flushes, and makes sure that what was written has gone through: a
// middleware that gathers the body would hold the stream back in silence.
func (w *writer) FlushError() error {
	if !w.own {
		w.Flush() // which keeps its error
	}
	if w.next == nil {
		return fmt.Errorf("ginsse: a %T hides the writer that it wraps: give it an Unwrap method: %w",
			w.ResponseWriter, http.ErrNotSupported)
	}
	if w.Size() <= 0 {
		return fmt.Errorf("ginsse: a %T holds the response back: take the route out of the middleware that made it: %w",
			w.ResponseWriter, http.ErrNotSupported)
	}
	return http.NewResponseController(w.next).Flush()
}

// An ended writer takes the place of the one that a stream has gone through, so
// that nothing can be appended to the stream.
type ended struct{ gin.ResponseWriter }

func (ended) Write([]byte) (int, error)       { return 0, errEnded }
func (ended) WriteString(string) (int, error) { return 0, errEnded }

var errEnded = fmt.Errorf("ginsse: the stream has ended: %w", http.ErrBodyNotAllowed)
