package natslog

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/yieldsse/yieldsse/internal/watch"
)

// hintBacklog is how many hints may wait. More are lost.
const hintBacklog = 1 << 12

// hints are subscriptions to subjects, and what is published to them. A goroutine does both, because a
// connection is locked while it cannot write.
type hints struct {
	watch.Set // by subjects

	nc      *nats.Conn
	come    chan *nats.Msg
	out     chan string
	done    chan struct{} // closed by close
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	begun  bool
	closed bool
}

func newHints(nc *nats.Conn) *hints {
	h := &hints{
		nc: nc, come: make(chan *nats.Msg, hintBacklog), out: make(chan string, hintBacklog), done: make(chan struct{}),
	}
	h.Changed = make(chan struct{}, 1)
	return h
}

// begin starts the goroutines.
func (h *hints) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.begun || h.closed {
		return
	}
	h.begun = true
	go h.work() // it may wait for the connection, until that is closed
	h.running.Go(h.receive)
}

// publish publishes a hint, soon.
func (h *hints) publish(subject string) {
	h.begin()
	select {
	case h.out <- subject:
	default:
	}
}

// watch has f called for each message of a subject, until cancel is called.
func (h *hints) watch(subject string, f func()) (cancel func()) {
	h.begin()
	return h.Add(subject, f)
}

// close ends the goroutines.
func (h *hints) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
	h.mu.Unlock()
	h.running.Wait()
}

// work publishes, and subscribes to what is wanted.
func (h *hints) work() {
	has := make(map[string]*nats.Subscription)
	defer func() {
		for _, s := range has {
			_ = s.Unsubscribe()
		}
	}()
	for {
		select {
		case <-h.Changed:
			h.subscribe(has)
		case subject := <-h.out:
			_ = h.nc.Publish(subject, nil)
		case <-h.done:
			return
		}
	}
}

func (h *hints) subscribe(has map[string]*nats.Subscription) {
	more, less := watch.Compare(&h.Set, has)
	for _, subject := range more {
		s, err := h.nc.ChanSubscribe(subject, h.come)
		if err != nil {
			continue // the connection is closed
		}
		has[subject] = s
		h.Call(subject) // something may have happened before
	}
	for _, subject := range less {
		_ = has[subject].Unsubscribe()
		delete(has, subject)
	}
}

func (h *hints) receive() {
	for {
		select {
		case m := <-h.come:
			h.Call(m.Subject)
		case <-h.done:
			return
		}
	}
}
