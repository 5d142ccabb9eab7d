package ginsse

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// A writer unwraps to gin's writer, or a middleware's.
type writer struct {
	gin.ResponseWriter

	below *http.ResponseController // of the writer that gin's own wraps; nil for a middleware's writer
}

func newWriter(w gin.ResponseWriter) writer {
	own, ok := w.(interface{ Unwrap() http.ResponseWriter })
	if !ok || fmt.Sprintf("%T", w) != "*gin.responseWriter" {
		return writer{ResponseWriter: w}
	}
	return writer{w, http.NewResponseController(own.Unwrap())}
}

// Unwrap is for [http.ResponseController].
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// FlushError flushes and returns the error, which gin's own writer hides. That one also
// panics if the writer below it has no Flush method.
func (w writer) FlushError() error {
	if w.below == nil {
		w.Flush()
		return nil
	}
	w.WriteHeaderNow()
	return w.below.Flush()
}

// An ended writer replaces the one that a stream was written to, so that nothing can be
// appended to the stream.
type ended struct{ gin.ResponseWriter }

func (ended) Write([]byte) (int, error)       { return 0, errEnded }
func (ended) WriteString(string) (int, error) { return 0, errEnded }

var errEnded = fmt.Errorf("ginsse: the stream has ended: %w", http.ErrBodyNotAllowed)
