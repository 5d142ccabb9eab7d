package ginsse

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/gin-gonic/gin"
)

// A writer adds to a middleware's writer what net/http needs to see below it.
// Middlewares of gin's wrap by embedding a gin.ResponseWriter, and seldom have
// an Unwrap method; but the embedded field is exported.
type writer struct {
	gin.ResponseWriter
}

func newWriter(w gin.ResponseWriter) http.ResponseWriter {
	if _, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return w
	}
	return writer{w}
}

// Unwrap returns the writer that the middleware's own has embedded, or nil.
func (w writer) Unwrap() http.ResponseWriter {
	v := reflect.Indirect(reflect.ValueOf(w.ResponseWriter))
	if v.Kind() != reflect.Struct {
		return nil
	}
	field := v.FieldByName("ResponseWriter")
	if !field.IsValid() || !field.CanInterface() {
		return nil
	}
	switch next := field.Interface().(type) {
	case gin.ResponseWriter:
		return newWriter(next)
	case http.ResponseWriter:
		return next
	default:
		return nil
	}
}

// FlushError flushes, and makes sure that what was written has gone through: a
// middleware that gathers the body would hold the stream back in silence.
func (w writer) FlushError() error {
	w.ResponseWriter.Flush()
	if w.Size() <= 0 {
		return fmt.Errorf("ginsse: a %T holds the response back: take the route out of the middleware that made it: %w",
			w.ResponseWriter, http.ErrNotSupported)
	}
	return nil
}
