package fasthost

import (
	"iter"
	"reflect"
	"runtime"
	"strings"

	"github.com/valyala/fasthttp"
)

// A Middleware is one of the framework's own that is above the handler on the stack.
// Some do harm when they find an empty response after a stream, and their only trace is
// their frames.
type Middleware struct {
	Name string // of its package, such as cache

	// Own is whether it runs the handler in a goroutine of its own.
	Own bool

	frame runtime.Frame
}

// Above returns the middlewares that are above the caller on the stack, and that are
// part of the module.
func Above(module string) iter.Seq[Middleware] {
	return func(yield func(Middleware) bool) {
		pcs, n := make([]uintptr, 50), 0
		for n == 0 || n == len(pcs) { // if it is full there may be more
			pcs = make([]uintptr, 2*len(pcs))
			n = runtime.Callers(1, pcs)
		}
		frames := runtime.CallersFrames(pcs[:n])
		frame, more := frames.Next()
		for more {
			var above runtime.Frame
			above, more = frames.Next()
			if name := middlewareOf(module, frame.Function, frame.File); name != "" {
				if !yield(Middleware{Name: name, Own: above.Function == "runtime.goexit", frame: frame}) {
					return
				}
			}
			frame = above
		}
	}
}

// Skips reports whether the middleware has passed the request on unchanged. Its code
// does so in the first lines of its function.
func (m Middleware) Skips(lines int) bool {
	if m.frame.Func == nil {
		return false
	}
	_, begin := m.frame.Func.FileLine(m.frame.Func.Entry())
	return m.frame.Line < begin+lines
}

// Only returns those of the handlers that belong to a middleware of the module.
func Only[H any](handlers []H, module, name string) (all []H) {
	for _, h := range handlers {
		f := runtime.FuncForPC(reflect.ValueOf(h).Pointer())
		if file, _ := f.FileLine(f.Entry()); middlewareOf(module, f.Name(), file) == name {
			all = append(all, h)
		}
	}
	return all
}

// middlewareOf returns the name of the middleware that a function is part of, if it is
// part of one of the module's. The compiler names a closure after the function that it
// has inlined the one around it into, so the file counts as well as the name.
func middlewareOf(module, function, file string) string {
	if rest, ok := strings.CutPrefix(function, module+"/middleware/"); ok {
		name, _, _ := strings.Cut(rest, ".")
		return name
	}
	_, rest, _ := strings.Cut(file, module)
	version, path, ok := strings.Cut(rest, "/middleware/")
	if !ok || strings.Contains(version, "/") {
		return ""
	}
	name, _, _ := strings.Cut(path, "/")
	return name
}

// HasCookies reports whether the response sets a cookie.
func HasCookies(ctx *fasthttp.RequestCtx) bool {
	return len(ctx.Response.Header.Peek(fasthttp.HeaderSetCookie)) > 0
}

// Again returns the same request for another application, with the same user values. It
// has no cookies and no body. Its response has the cookies of ctx.
func Again(ctx *fasthttp.RequestCtx) *fasthttp.RequestCtx {
	other := new(fasthttp.RequestCtx)
	ctx.Request.Header.CopyTo(&other.Request.Header)
	ctx.URI().CopyTo(other.URI()) // whose path a middleware may have changed
	other.Request.Header.DelAllCookies()
	ctx.VisitUserValuesAll(other.SetUserValue)
	ReplaceCookies(other, ctx)
	return other
}

// ReplaceCookies replaces the cookies of a response by those of another one.
func ReplaceCookies(ctx, other *fasthttp.RequestCtx) {
	ctx.Response.Header.DelAllCookies()
	other.Response.Header.VisitAllCookie(func(_, line []byte) { //nolint:staticcheck // what replaces it is not in the fasthttp of fiber v2
		ctx.Response.Header.Add(fasthttp.HeaderSetCookie, string(line))
	})
}
