package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/stats"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// Events is the target that has all that is published while the client is there.
// The response's head comes when nothing can be missed any more.
const Events = "/events"

// Publish is the target that publishes n events whose data is of size bytes, rate
// a second or at full speed if rate is 0. It answers when it is done, with
// [Published] as JSON. The data begins with the time at which the event was
// published, as [SentAt] reads it.
func Publish(n, size, rate int) string {
	return fmt.Sprintf("/publish?n=%d&size=%d&rate=%d", n, size, rate)
}

// Published is what it took to publish.
type Published struct {
	LastID string        `json:"lastId"` // of the last event; empty if there are no IDs to resume from
	P99    time.Duration `json:"p99"`    // how long one event took
	Max    time.Duration `json:"max"`
}

const stampLen = 19 // digits

// SentAt returns when an event with this data was published.
func SentAt(data []byte) (time.Time, error) {
	ns, err := strconv.ParseInt(string(data[:min(stampLen, len(data))]), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("server: the data begins with no time: %w", err)
	}
	return time.Unix(0, ns), nil
}

// A publisher publishes an event with this data, and returns its ID.
type publisher func(data string) (id string, err error)

func (publish publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := publish.run(setting(r, "n"), setting(r, "size"), setting(r, "rate"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if err := json.NewEncoder(w).Encode(p); err != nil {
		panic(http.ErrAbortHandler) // so that half an answer passes for none
	}
}

func setting(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.FormValue(name))
	return n
}

func (publish publisher) run(n, size, rate int) (p Published, err error) {
	took := make([]time.Duration, n)
	padding := strings.Repeat(".", max(size-stampLen, 0))
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range took {
		if rate > 0 {
			timer.Reset(time.Until(begin.Add(time.Second * time.Duration(i) / time.Duration(rate))))
			<-timer.C
		}
		now := time.Now()
		p.LastID, err = publish(strconv.FormatInt(now.UnixNano(), 10) + padding)
		if err != nil {
			return p, err
		}
		took[i] = time.Since(now)
	}
	p.P99, p.Max = stats.Quantile(took, 0.99), stats.Quantile(took, 1)
	return p, nil
}

func serveHub(ln net.Listener) error {
	const topic = "news"
	h := hub.New(hub.WithMaxEvents(100_000), hub.WithMaxBytes(1<<30))
	mux := http.NewServeMux()
	mux.Handle("GET "+Events, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return h.Subscribe(r.Context(), topic)
	}))
	mux.HandleFunc("GET /publish", func(w http.ResponseWriter, r *http.Request) {
		publisher(func(data string) (string, error) {
			return h.Publish(r.Context(), topic, core.Event{Type: eventType, Data: data})
		}).ServeHTTP(w, r)
	})
	return serve(ln, mux)
}

// A channels is the hub of tutorials: a channel for each client, and a loop over
// all of them. Most tutorials drop the event if a channel is full; here publish
// waits, so that nothing is lost and both sides do the same work.
type channels struct {
	mu      sync.Mutex
	clients map[chan message]bool
	last    int
}

type message struct {
	id   int
	data string
}

func (c *channels) publish(data string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	for ch := range c.clients {
		ch <- message{c.last, data}
	}
	return "", nil
}

func (c *channels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const (
		room      = 256
		heartbeat = 15 * time.Second
	)
	ch := make(chan message, room)
	c.mu.Lock()
	c.clients[ch] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.clients, ch)
		c.mu.Unlock()
	}()

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flusher := w.(http.Flusher) //nolint:forcetypeassert // the server's own
	flusher.Flush()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case m := <-ch:
			_, _ = fmt.Fprintf(w, "id: channels-%d\nevent: %s\ndata: %s\n\n", m.id, eventType, m.data)
		case <-ticker.C:
			_, _ = fmt.Fprint(w, ": heartbeat\n\n")
		}
		flusher.Flush()
	}
}

func serveChannels(ln net.Listener) error {
	c := &channels{clients: make(map[chan message]bool)}
	mux := http.NewServeMux()
	mux.Handle("GET "+Events, c)
	mux.Handle("GET /publish", publisher(c.publish))
	return serve(ln, mux)
}
