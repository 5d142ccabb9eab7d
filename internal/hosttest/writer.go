package hosttest

import (
	"errors"
	"net/http"
	"net/http/httptest"
)

// A LostWriter is a server's writer whose connection is gone: a flush fails.
type LostWriter struct{ *httptest.ResponseRecorder }

// NewLostWriter returns a LostWriter.
func NewLostWriter() LostWriter { return LostWriter{httptest.NewRecorder()} }

// FlushError implements what [http.ResponseController] looks for.
func (LostWriter) FlushError() error { return errors.New("the connection is gone") }

// Unwrap implements what [http.ResponseController] looks for.
func (w LostWriter) Unwrap() http.ResponseWriter { return w.ResponseRecorder }
