package ginsse

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// A writer shows net/http what is below gin's writer, or a middleware's.
type writer struct {
	gin.ResponseWriter

	below *http.ResponseController // of what gin's own writer wraps; nil if it is a middleware's
}

func newWriter(w gin.ResponseWriter) writer {
	own, ok := w.(interface{ Unwrap() http.ResponseWriter })
	if !ok || fmt.Sprintf("%T", w) != "*gin.responseWriter" {
		return writer{ResponseWriter: w}
	}
	return writer{w, http.NewResponseController(own.Unwrap())}
}

// Unwrap implements what [http.ResponseController] looks for.
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// FlushError flushes. gin's own writer keeps the error to itself, and panics if the
// writer below it has no Flush method.
func (w writer) FlushError() error {
	if w.below == nil {
		w.Flush()
		return nil
	}
	w.WriteHeaderNow()
	return w.below.Flush()
}

// An ended writer takes the place of the one that a stream has gone through, so
// that nothing can be appended to the stream.
type ended struct{ gin.ResponseWriter }

func (ended) Write([]byte) (int, error)       { return 0, errEnded }
func (ended) WriteString(string) (int, error) { return 0, errEnded }

var errEnded = fmt.Errorf("ginsse: the stream has ended: %w", http.ErrBodyNotAllowed)
