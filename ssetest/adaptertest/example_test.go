package adaptertest_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

// A Mount of the adapter for net/http.
var mount = adaptertest.Mount{
	Serve:     serve,
	Protocols: []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP2},
}

// serve is what an adapter's test writes: a server of the host's with the site's views.
func serve(_ testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
	server := site.Server(handler(site))
	go server.Serve(site.Listener)
	return server.Shutdown
}

// handler has what the site asks for.
func handler(site *adaptertest.Site) http.Handler {
	mux := http.NewServeMux()
	for path, view := range site.Views {
		mux.Handle(path, nethttpsse.Handler(adapt(view), site.Options...))
	}
	for name, answer := range answers {
		mux.HandleFunc("GET /plain/"+name, answer)
		mux.Handle("GET /"+name, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			answer(w, r)
			return nil
		}, site.Options...))
	}
	return recovery(log.New(site.Log, "", 0), mux)
}

// adapt makes the host's kind of view.
func adapt(view adaptertest.View) nethttpsse.View {
	if view == nil {
		return nil
	}
	return func(w http.ResponseWriter, r *http.Request) core.Stream {
		return view(r.Context(), adaptertest.Exchange{Body: r.Body, SetHeader: w.Header().Set})
	}
}

// answers has a handler for each of [adaptertest.Answers].
var answers = map[string]http.HandlerFunc{
	"forbidden": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no entry", http.StatusForbidden) },
	"json": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, `{"answer":42}`)
	},
	"redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/json", http.StatusSeeOther) },
	"no-content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"nothing":    func(http.ResponseWriter, *http.Request) {},
}

// recovery is a middleware that other hosts bring along.
func recovery(log *log.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				log.Printf("panic of %s: %v", r.URL.Path, v)
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// An adapter's tests are two lines, and a function that serves what the suites ask for:
//
//	func TestConformance(t *testing.T)  { adaptertest.Conformance(t, mount, mount.Detached()) }
//	func TestDifferential(t *testing.T) { adaptertest.Differential(t, mount) }
//
// Here it serves one view.
func ExampleMount() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	shutdown := mount.Serve(nil, &adaptertest.Site{
		Listener: listener,
		Log:      os.Stdout,
		Views: map[string]adaptertest.View{
			"/hello": func(context.Context, adaptertest.Exchange) core.Stream {
				return func(yield func(core.Event, error) bool) { yield(core.Event{Data: "Hello"}, nil) }
			},
		},
	})

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer shutdown(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String()+"/hello", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range client.Stream(req, client.WithOnce("")) {
		fmt.Println(e.Data, err)
	}
	// Output:
	// Hello <nil>
}
