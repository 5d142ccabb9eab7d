package frameworks_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func onChi(messages messages) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Recoverer)
	r.Method(http.MethodGet, "/rooms/{room}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return messages(r.Context(), chi.URLParam(r, "room"))
	}))
	return r
}

func TestChi(t *testing.T) {
	onBoth(t, func(t *testing.T, client *http.Client) {
		chat := newChat()
		url, stop := serve(t, onChi(chat.messages))
		visitor{chat: chat, url: url, client: client}.check(t, stop)
	})
}

// An open stream takes a place of Throttle's, unless it is detached.
func TestChiThrottle(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []core.Option
		want int
	}{
		{"in the handler", nil, http.StatusTooManyRequests},
		{"detached", []core.Option{core.WithDetach()}, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chat := newChat()
			r := chi.NewRouter()
			returned := make(chan struct{}, 10)
			r.Use(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r)
					returned <- struct{}{}
				})
			}, middleware.Throttle(1))
			r.Method(http.MethodGet, "/rooms/{room}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				return chat.messages(r.Context(), chi.URLParam(r, "room"))
			}, tt.opts...))
			url, _ := serve(t, r)
			v := visitor{chat: chat, url: url, client: client(t, false)}
			first := v.open(t, "idle")
			hosttest.Receive(t, chat.began, "the stream")
			if tt.opts != nil {
				hosttest.Receive(t, returned, "the handler's return")
			}
			second := v.open(t, "idle")
			if got := second.Status; got != tt.want {
				t.Errorf("status of a second stream: got %d, want %d", got, tt.want)
			}
			first.Close()
			second.Close()
			v.ended(t, core.ErrClientGone)
		})
	}
}
