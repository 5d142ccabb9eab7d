package nethttpsse

import (
	"net"
	"net/http"
	"reflect"
	"strings"
)

// mostWriters bounds a chain, in case a writer leads to itself.
const mostWriters = 64

// chainOf returns the writers of a response, from w down to the server's own, or to
// the last one that shows nothing below it.
func chainOf(w http.ResponseWriter) []http.ResponseWriter {
	return extend(make([]http.ResponseWriter, 0, 4), w)
}

// extend appends w and the writers below it to chain.
func extend(chain []http.ResponseWriter, w http.ResponseWriter) []http.ResponseWriter {
	chain = append(chain, w)
	if len(chain) > mostWriters || isServers(w) {
		return chain
	}
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		if next := u.Unwrap(); next != nil {
			return extend(chain, next)
		}
		return chain
	}
	if flusher(w) == nil {
		return chain // it may buffer the response, and use the writer below in another goroutine
	}
	for _, next := range wrapped(w) {
		if whole := extend(chain, next); isServers(last(whole)) {
			return whole
		}
	}
	return chain
}

func last(chain []http.ResponseWriter) http.ResponseWriter { return chain[len(chain)-1] }

// wrapped returns the writers among the fields of w. Most middlewares wrap a writer
// by a field, embedded or not, and many of them have no Unwrap method.
func wrapped(w http.ResponseWriter) []http.ResponseWriter {
	v := reflect.ValueOf(w)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	if !v.CanAddr() {
		own := reflect.New(v.Type()).Elem()
		own.Set(v)
		v = own
	}
	return writersIn(v, nil)
}

func writersIn(v reflect.Value, all []http.ResponseWriter) []http.ResponseWriter {
	for i := range v.NumField() { //nolint:modernize // the iterator makes a StructField of each, for nobody
		f := readable(v.Field(i))
		if f.Kind() == reflect.Struct {
			all = writersIn(f, all)
		} else if f.Kind() == reflect.Interface || f.Kind() == reflect.Pointer {
			if next, ok := reflect.TypeAssert[http.ResponseWriter](f); ok && !isNil(next) {
				all = append(all, next)
			}
		}
	}
	return all
}

func isNil(w http.ResponseWriter) bool {
	v := reflect.ValueOf(w)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// readable returns a field whose value can be read even if the field is not exported.
func readable(field reflect.Value) reflect.Value {
	return reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
}

// isServers reports whether w is a known server's own writer, which sends what it has
// when it is flushed.
func isServers(w http.ResponseWriter) bool {
	switch pkg := packageOf(w); {
	case pkg == "net/http", strings.HasPrefix(pkg, "net/http/internal/"), pkg == "golang.org/x/net/http2":
		_, ok := w.(deadliner) // unlike the writer of http.TimeoutHandler
		return ok
	default:
		return pkg == http3 || pkg == lambdaurl || pkg == httptest
	}
}

// Packages of servers whose writers are known.
const (
	http3     = "github.com/quic-go/quic-go/http3"
	lambdaurl = "github.com/aws/aws-lambda-go/lambdaurl"
	httptest  = "net/http/httptest"
)

// packageOf returns the path of the package that defines the writer's type.
func packageOf(w http.ResponseWriter) string {
	t := reflect.TypeOf(w)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath()
}

// connOf returns the connection of a response on HTTP/1, or nil if it cannot be found.
// [http.Hijacker] would take it away from the server, and Shutdown would not wait for
// the handler.
func connOf(server http.ResponseWriter) net.Conn {
	return netConnIn(into(reflect.Indirect(reflect.ValueOf(server)), "conn"), "rwc")
}

// blockedConnOf returns the connection that a response on HTTP/2 shares with others, if its
// stream is still open, or nil if it is not, or cannot be found.
func blockedConnOf(server http.ResponseWriter) net.Conn {
	w := reflect.Indirect(reflect.ValueOf(server))
	if embedded := into(w, "ResponseWriter"); embedded.IsValid() { // in net/http's own, since Go 1.27
		w = embedded
	}
	stream := into(into(w, "rws"), "stream")
	if closed(stream) {
		return nil
	}
	return netConnIn(into(stream, "sc"), "conn")
}

// into returns the struct that a field of v points to, or the zero Value if there is none.
func into(v reflect.Value, name string) reflect.Value {
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	f := fieldOf(v, reflect.Pointer, name)
	if !f.IsValid() || f.Type().Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return f.Elem()
}

// netConnIn returns the connection in a field of v, or nil if there is none.
func netConnIn(v reflect.Value, name string) net.Conn {
	if v.Kind() != reflect.Struct {
		return nil
	}
	f := fieldOf(v, reflect.Interface, name)
	if !f.IsValid() {
		return nil
	}
	conn, _ := reflect.TypeAssert[net.Conn](readable(f))
	return conn
}

// closed reports whether a stream of net/http's HTTP/2 server has ended.
func closed(stream reflect.Value) bool {
	if stream.Kind() != reflect.Struct {
		return false
	}
	wait, channel := fieldOf(stream, reflect.Chan, "cw"), reflect.TypeFor[<-chan struct{}]()
	if !wait.IsValid() || !wait.CanConvert(channel) {
		return false
	}
	end, _ := reflect.TypeAssert[<-chan struct{}](readable(wait).Convert(channel))
	select {
	case <-end:
		return true
	default:
		return false
	}
}

// A meter counts the bytes that reach a server's writer.
type meter struct {
	written     reflect.Value // int64: bytes of the body, including those of failed writes
	wroteHeader reflect.Value // bool
	recorder    interface{ Len() int }
}

// meterOf returns nil if a new release of the server has renamed the writer's fields.
// Then nothing notices a middleware that holds the response back; a test finds out.
func meterOf(server http.ResponseWriter) *meter {
	v := reflect.ValueOf(server)
	for range 8 {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return nil
		}
		m := &meter{
			written:     fieldOf(v, reflect.Int64, "written", "wroteBytes", "numWritten"),
			wroteHeader: fieldOf(v, reflect.Bool, "wroteHeader", "headerComplete"),
		}
		if body := v.FieldByName("Body"); packageOf(server) == httptest && body.IsValid() && !body.IsNil() {
			m.recorder, _ = reflect.TypeAssert[interface{ Len() int }](body)
		}
		if (m.written.IsValid() || m.recorder != nil) && m.wroteHeader.IsValid() {
			return m
		}
		v = fieldOf(v, reflect.Pointer, "rws", "ResponseWriter") // HTTP/2
	}
	return nil
}

func fieldOf(v reflect.Value, kind reflect.Kind, names ...string) reflect.Value {
	for _, name := range names {
		if f := v.FieldByName(name); f.IsValid() && f.Kind() == kind {
			return f
		}
	}
	return reflect.Value{}
}

func (m *meter) bytes() int64 {
	if m.recorder != nil {
		return int64(m.recorder.Len())
	}
	return m.written.Int()
}

func (m *meter) begun() bool { return m.wroteHeader.Bool() }
