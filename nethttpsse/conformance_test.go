package nethttpsse_test

import (
	"context"
	"errors"
	"log"
	"net/http"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestConformance(t *testing.T) {
	ssetest.Conformance(t, ssetest.Mount{
		Serve:     serveSite,
		Protocols: []ssetest.Protocol{ssetest.HTTP1, ssetest.HTTP2, ssetest.H2C},
	})
}

func TestConformanceDetached(t *testing.T) {
	ssetest.Conformance(t, ssetest.Mount{
		Serve: func(t testing.TB, site *ssetest.Site) (shutdown func(context.Context) error) {
			site.Options = append(site.Options, core.WithDetach())
			return serveSite(t, site)
		},
		Protocols: []ssetest.Protocol{ssetest.HTTP1, ssetest.HTTP1TLS, ssetest.HTTP2, ssetest.H2C},
	})
}

func serveSite(_ testing.TB, site *ssetest.Site) (shutdown func(context.Context) error) {
	mux := http.NewServeMux()
	for path, view := range site.Views {
		mux.Handle(path, nethttpsse.Handler(siteView(view), site.Options...))
	}
	for name, answer := range siteAnswers {
		mux.HandleFunc("GET /plain/"+name, answer)
		mux.Handle("GET /"+name, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			answer(w, r)
			return nil
		}, site.Options...))
	}
	srv := site.Server(siteRecovery(log.New(site.Log, "", 0), mux))
	go func() { _ = srv.Serve(site.Listener) }()
	return srv.Shutdown
}

func siteView(view ssetest.View) nethttpsse.View {
	if view == nil {
		return nil
	}
	return func(w http.ResponseWriter, r *http.Request) core.Stream {
		return view(r.Context(), ssetest.Exchange{Body: r.Body, SetHeader: w.Header().Set})
	}
}

var siteAnswers = map[string]http.HandlerFunc{
	"forbidden": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no entry", http.StatusForbidden)
	},
	"json": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte(`{"answer":42}`))
	},
	"redirect": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/json", http.StatusSeeOther)
	},
	"no-content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"nothing":    func(http.ResponseWriter, *http.Request) {},
}

// siteRecovery is what net/http leaves to its users: it siteAnswers a panic with 500 and
// keeps the connection, if it can.
func siteRecovery(log *log.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			if v != nil {
				log.Printf("panic of %s: %v", r.URL.Path, v)
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
