package ginsse

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// A writer shows net/http what is below gin's writer, or a middleware's.
type writer struct{ gin.ResponseWriter }

// Unwrap implements what [http.ResponseController] looks for.
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// FlushError flushes. gin's own writer keeps the error to itself, and panics if the
// writer below it has no Flush method.
func (w writer) FlushError() error {
	below, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter })
	if !ok || fmt.Sprintf("%T", w.ResponseWriter) != "*gin.responseWriter" {
		w.Flush()
		return nil
	}
	w.WriteHeaderNow()
	return http.NewResponseController(below.Unwrap()).Flush()
}

// An ended writer takes the place of the one that a stream has gone through, so
// that nothing can be appended to the stream.
type ended struct{ gin.ResponseWriter }

func (ended) Write([]byte) (int, error)       { return 0, errEnded }
func (ended) WriteString(string) (int, error) { return 0, errEnded }

var errEnded = fmt.Errorf("ginsse: the stream has ended: %w", http.ErrBodyNotAllowed)
