package http3_test

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// get requests a stream of one event over HTTP/3, and reads the answer to its end. The
// handler gets the writer that wrap returns, and finish is called when it has returned.
func get(t *testing.T, wrap func(http.ResponseWriter) (wrapped http.ResponseWriter, finish func())) hosttest.Answer {
	t.Helper()
	handler := nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
		return hosttest.Events("whole")
	})
	addr := run(t, &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, finish := wrap(w)
		defer finish()
		handler.ServeHTTP(w, r)
	})})
	client := &http.Client{Transport: dialed(t, addr), Timeout: hosttest.Patience}
	res, err := client.Get("https://" + addr.String() + "/")
	if reset := (*http3.Error)(nil); errors.As(err, &reset) { // it has overtaken the headers
		return hosttest.Answer{Broken: true}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return hosttest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body), Broken: err != nil}
}

// A blind writer does what quic-go's writer does, but its QUIC stream cannot be found.
type blind struct {
	http.ResponseWriter

	below http.ResponseWriter // a copy of quic-go's writer that has no stream
}

func (b blind) Unwrap() http.ResponseWriter { return b.below }

// A stream that could not be broken is refused. A new release of quic-go may hide what
// breaks it.
func TestHiddenStream(t *testing.T) {
	got := get(t, func(w http.ResponseWriter) (http.ResponseWriter, func()) {
		theirs := reflect.ValueOf(w).Elem()
		below := reflect.New(theirs.Type())
		below.Elem().Set(theirs)
		stream := below.Elem().FieldByName("str")
		reflect.NewAt(stream.Type(), stream.Addr().UnsafePointer()).Elem().SetZero()
		return blind{w, below.Interface().(http.ResponseWriter)}, func() {}
	})
	const want = "nethttpsse: a *http3.responseWriter cannot break a response"
	if got.Status != http.StatusInternalServerError || !strings.HasPrefix(got.Body, want) || got.Broken {
		t.Errorf("got %d %q, broken %t, want 500 %q", got.Status, got.Body, got.Broken, want)
	}
}

// A keeper keeps the response until the handler has returned.
type keeper struct {
	http.ResponseWriter

	kept []byte
}

func (*keeper) WriteHeader(int)               {}
func (k *keeper) Write(p []byte) (int, error) { k.kept = append(k.kept, p...); return len(p), nil }
func (*keeper) Flush()                        {}

// An early keeps only the body.
type early struct{ keeper }

func (e *early) WriteHeader(status int) { e.ResponseWriter.WriteHeader(status) }
func (e *early) Flush()                 { e.ResponseWriter.(http.Flusher).Flush() }

// A middleware that holds the stream back is noticed. If this fails with a new release of
// quic-go, its writer has other fields than nethttpsse knows.
func TestHeldBack(t *testing.T) {
	t.Run("headers", func(t *testing.T) {
		got := get(t, func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			k := &keeper{ResponseWriter: w}
			return k, func() { _, _ = w.Write(k.kept) }
		})
		const want = "nethttpsse: a *http3_test.keeper holds the stream back: take the route out of the middleware that made it\n"
		if got.Status != http.StatusInternalServerError || got.Body != want || got.Broken {
			t.Errorf("got %d %q, broken %t, want 500 %q", got.Status, got.Body, got.Broken, want)
		}
	})
	t.Run("body", func(t *testing.T) {
		got := get(t, func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			e := &early{keeper{ResponseWriter: w}}
			return e, func() { _, _ = w.Write(e.kept) }
		})
		if got.Body != "" || !got.Broken {
			t.Errorf("got %d %q, broken %t, want nothing and a break", got.Status, got.Body, got.Broken)
		}
	})
}
