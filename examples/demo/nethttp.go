package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func newNetHTTP(d *demo) server {
	mux := http.NewServeMux()
	ctx := func(r *http.Request) context.Context {
		return d.drops.context(r.Context(), r.FormValue("session"))
	}
	// stream makes a handler of a view. It answers if the view returns an error, or
	// nothing.
	stream := func(view func(r *http.Request) (core.Stream, error)) http.Handler {
		return nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			s, err := view(r)
			switch {
			case err != nil:
				httpError(w, err)
				return nil
			case s == nil:
				w.WriteHeader(http.StatusNoContent)
			}
			return s
		}, d.options...)
	}

	mux.Handle("GET /stream", stream(func(r *http.Request) (core.Stream, error) {
		return d.stream(ctx(r), r.FormValue("user_id")), nil
	}))
	mux.Handle("GET /time", stream(func(r *http.Request) (core.Stream, error) {
		return d.time(ctx(r)), nil
	}))
	mux.Handle("GET /notice", stream(func(r *http.Request) (core.Stream, error) {
		return d.notice(r.FormValue("token"))
	}))
	mux.Handle("GET /events", stream(func(r *http.Request) (core.Stream, error) {
		return d.events(ctx(r)), nil
	}))
	mux.Handle("GET /picture", stream(func(r *http.Request) (core.Stream, error) {
		return d.picture(ctx(r)), nil
	}))
	mux.Handle("GET /pause", stream(func(r *http.Request) (core.Stream, error) {
		return d.pause(ctx(r)), nil
	}))
	mux.Handle("POST /tokens", stream(func(r *http.Request) (core.Stream, error) {
		var body tokensBody
		if err := decode(r.Body, &body); err != nil {
			return nil, errPrompt
		}
		return d.tokens(r.Context(), body.Prompt)
	}))
	mux.Handle("GET /progress", stream(func(r *http.Request) (core.Stream, error) {
		return d.progress(ctx(r), r.FormValue("job"))
	}))
	mux.Handle("GET /fail", stream(func(r *http.Request) (core.Stream, error) {
		return d.fail(ctx(r)), nil
	}))

	mux.Handle("GET /chat", stream(func(r *http.Request) (core.Stream, error) {
		return d.chat(ctx(r), r.FormValue("name"))
	}))
	mux.Handle("GET /ticker", stream(func(r *http.Request) (core.Stream, error) {
		return d.ticker(ctx(r), r.FormValue("symbols"))
	}))
	mux.Handle("GET /news", stream(func(r *http.Request) (core.Stream, error) {
		return d.news(ctx(r), r.FormValue("section"))
	}))

	mux.HandleFunc("POST /chat", func(w http.ResponseWriter, r *http.Request) {
		var body message
		if err := decode(r.Body, &body); err != nil {
			httpError(w, errChat)
			return
		}
		if err := d.say(body); err != nil {
			httpError(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /notice", func(w http.ResponseWriter, r *http.Request) {
		var body noticeBody
		if err := decode(r.Body, &body); err != nil {
			httpError(w, errText)
			return
		}
		if err := d.addNotice(r.URL.Query().Get("token"), body.Text); err != nil {
			httpError(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /drop", func(w http.ResponseWriter, r *http.Request) {
		d.drops.drop(r.URL.Query().Get("session"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d.info("net/http"))
	})
	mux.Handle("GET /", http.FileServerFS(page))
	return d.httpServer(allowOrigins(mux))
}

func httpError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if p, ok := errors.AsType[*problem](err); ok {
		status = p.status
	}
	http.Error(w, err.Error(), status)
}

// allowOrigins lets a page from another port read the answers.
func allowOrigins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Last-Event-ID")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// httpServer returns the server for the four frameworks that use net/http.
func (d *demo) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, maxBody),
		ErrorLog:          d.log,
		ReadHeaderTimeout: 5 * time.Second,
	}
}
