package server

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A tutorial is the hub of most tutorials: a channel for each client, and a loop over
// all channels. Most tutorials drop an event if a channel is full. Here publish waits,
// so that nothing is lost and all sides do the same work.
type tutorial struct {
	mu      sync.Mutex
	clients map[chan message]bool
	last    int
}

type message struct {
	id   int
	data string
}

func (t *tutorial) publish(data string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	for ch := range t.clients {
		ch <- message{t.last, data}
	}
	return strconv.Itoa(t.last), nil
}

func (t *tutorial) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.clients)
}

func (t *tutorial) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const room = 256
	ch := make(chan message, room)
	t.mu.Lock()
	t.clients[ch] = true
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.clients, ch)
		t.mu.Unlock()
	}()

	setHeaders(w.Header())
	f := flusher(w)
	f.Flush()
	ticker := time.NewTicker(heartbeat())
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case m := <-ch:
			_, _ = fmt.Fprintf(w, format, m.id, eventType, m.data)
		case <-ticker.C:
			_, _ = fmt.Fprint(w, ": heartbeat\n\n")
		}
		f.Flush()
	}
}

func serveTutorial(ln net.Listener) error {
	t := &tutorial{clients: make(map[chan message]bool)}
	return fanOut{subscribe: t, publish: t.publish, count: t.count}.serve(ln)
}
