// Package inspect shows who is connected: a page, live over Server-Sent Events, and the same
// as JSON. It lists sessions, the topics and logs of hubs, and runs, and ends a session at the
// push of a button. It never shows an event's data.
//
// A [Handler] serves all of it at one URL, on any framework:
//
//	http.Handle("/inspect", &inspect.Handler{
//		Authorize: isOperator,
//		Groups:    map[string]*core.Group{"prices": streams},
//		Hubs:      map[string]*hub.Hub{"prices": prices},
//	})
//
// The sessions of a handler are in a group if it was made with [core.WithGroup].
package inspect

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
)

// ErrEnded is the cause with which a session ends that somebody has ended with a [Handler].
var ErrEnded = errors.New("inspect: an operator has ended the session")

// A Handler serves the page, the JSON and the button. The request's Accept header decides what
// a GET is answered with: text/html gets the page, text/event-stream the live view, and
// anything else the JSON. A POST with the form value end, a session's ID, ends that session
// cleanly with [ErrEnded]: a client that reconnects by itself comes back, unless the server
// does not let it in any more.
//
// The zero Handler refuses every request. Set the fields before the first request, and do not
// change the maps after that. A Handler must not be copied after its first use. Any number of
// requests may be served at once.
//
// All viewers share one snapshot, which is taken only while somebody looks: a new one begins
// a second after the last one at the earliest. Sessions and hubs go on meanwhile.
type Handler struct {
	// Authorize reports whether a request may see everything and end sessions. Without it, all
	// requests are refused with 403. It is asked again at least once a minute for each page
	// that is open.
	Authorize func(r *http.Request) bool

	Groups map[string]*core.Group // by the names to show; a session of two groups is listed twice
	Hubs   map[string]*hub.Hub    // by the names to show
	Runs   map[string]*run.Runner // by the names to show

	mu     sync.Mutex
	last   *snapshot   // nil if it was forgotten
	forget *time.Timer // forgets it; nil before the first one
}

// again is how long a page may be open before Authorize is asked again.
const again = time.Minute

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case h.Authorize == nil:
		http.Error(w, "inspect: nobody may see this: set Handler.Authorize to a function that reports who may", http.StatusForbidden)
	case !h.Authorize(r):
		http.Error(w, "inspect: you may not see this", http.StatusForbidden)
	case r.Method == http.MethodPost:
		h.end(w, r)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		h.show(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "inspect: GET shows what there is, POST ends a session", http.StatusMethodNotAllowed)
	}
}

func (h *Handler) show(w http.ResponseWriter, r *http.Request) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	live := strings.Contains(accept, "text/event-stream")
	if !live && strings.Contains(accept, "text/html") {
		servePage(w)
		return
	}
	q, err := queryOf(r.URL.Query())
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case live:
		nethttpsse.Handler(h.live(q), core.WithMaxDuration(again), core.WithRetry(time.Second)).ServeHTTP(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(h.snapshot().report(q)) //nolint:errchkjson // fails only if the client has gone
	}
}

// live returns the view of a page that is open.
func (h *Handler) live(q query) nethttpsse.View {
	return func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			timer := time.NewTimer(0)
			defer timer.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
				s := h.snapshot()
				if !yield(core.Event{}.JSON(s.report(q))) {
					return
				}
				timer.Reset(time.Until(s.done.Add(fresh)))
			}
		}
	}
}

// end ends the session that a form names.
func (h *Handler) end(w http.ResponseWriter, r *http.Request) {
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		http.Error(w, "inspect: a page of another origin may not end sessions", http.StatusForbidden)
		return
	}
	const maxForm = 1 << 10
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id, err := strconv.ParseUint(r.FormValue("end"), 10, 64)
	if err != nil {
		http.Error(w, "inspect: set the form value end to the ID of a session", http.StatusBadRequest)
		return
	}
	for _, g := range h.Groups {
		for m := range g.Members() {
			if m.ID == id {
				m.End(ErrEnded)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
	}
	http.Error(w, "inspect: there is no such session: it may have ended", http.StatusNotFound)
}
