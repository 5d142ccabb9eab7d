package fasthost

import (
	"iter"
	"reflect"
	"runtime"
	"strings"

	"github.com/valyala/fasthttp"
)

// Above returns the functions that are above the caller on the stack and whose names
// begin with prefix, each without the prefix. It is how an adapter finds middlewares
// that do harm when they find an empty response after a stream: their only trace is
// their frames.
func Above(prefix string) iter.Seq2[string, runtime.Frame] {
	return func(yield func(string, runtime.Frame) bool) {
		pcs, n := make([]uintptr, 50), 0
		for n == 0 || n == len(pcs) { // if it is full there may be more
			pcs = make([]uintptr, 2*len(pcs))
			n = runtime.Callers(1, pcs)
		}
		frames := runtime.CallersFrames(pcs[:n])
		for more := true; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			if name, ok := strings.CutPrefix(frame.Function, prefix); ok && !yield(name, frame) {
				return
			}
		}
	}
}

// Skips reports whether a middleware has passed the request on unchanged. Its code does
// so in its first lines.
func Skips(frame runtime.Frame, lines int) bool {
	if frame.Func == nil {
		return false
	}
	_, begin := frame.Func.FileLine(frame.Func.Entry())
	return frame.Line < begin+lines
}

// IsFunc reports whether the name of the function f begins with prefix.
func IsFunc(f any, prefix string) bool {
	return strings.HasPrefix(runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name(), prefix)
}

// Cookies returns the lines of the response's cookies.
func Cookies(ctx *fasthttp.RequestCtx) (lines []string) {
	ctx.Response.Header.VisitAllCookie(func(_, line []byte) { lines = append(lines, string(line)) })
	return lines
}

// ReplaceCookies replaces the cookies of the response by those that an application sets
// in answer to the same request, which has no cookies. The request's user values are the
// same.
func ReplaceCookies(ctx *fasthttp.RequestCtx, application fasthttp.RequestHandler) {
	var other fasthttp.RequestCtx
	ctx.Request.Header.CopyTo(&other.Request.Header)
	other.Request.Header.DelAllCookies()
	ctx.VisitUserValuesAll(other.SetUserValue)
	application(&other)

	ctx.Response.Header.DelAllCookies()
	for _, line := range Cookies(&other) {
		ctx.Response.Header.Add(fasthttp.HeaderSetCookie, line)
	}
}
