package natslog

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// hintBacklog is how many hints may wait. More are lost.
const hintBacklog = 1 << 12

// hints are subscriptions to subjects, and what is published to them. A goroutine does both, because a
// connection is locked while it cannot write.
type hints struct {
	nc      *nats.Conn
	changed chan struct{} // has a value if wanted has changed
	come    chan *nats.Msg
	out     chan string
	done    chan struct{} // closed by close
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	begun  bool
	closed bool
	wanted map[string]map[*func()]bool // those to call, by their subjects
}

func newHints(nc *nats.Conn) *hints {
	return &hints{
		nc: nc, changed: make(chan struct{}, 1), come: make(chan *nats.Msg, hintBacklog), out: make(chan string, hintBacklog),
		done: make(chan struct{}), wanted: make(map[string]map[*func()]bool),
	}
}

// begin starts the goroutines. The hints are locked.
func (h *hints) begin() {
	if h.begun || h.closed {
		return
	}
	h.begun = true
	go h.work() // it may wait for the connection, until that is closed
	h.running.Go(h.receive)
}

// publish publishes a hint, soon.
func (h *hints) publish(subject string) {
	h.mu.Lock()
	h.begin()
	h.mu.Unlock()
	select {
	case h.out <- subject:
	default:
	}
}

// watch has f called for each message of a subject, until cancel is called.
func (h *hints) watch(subject string, f func()) (cancel func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wanted[subject] == nil {
		h.wanted[subject] = make(map[*func()]bool)
		h.change()
	}
	h.wanted[subject][&f] = true
	h.begin()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.wanted[subject], &f); len(h.wanted[subject]) == 0 {
			delete(h.wanted, subject)
			h.change()
		}
	}
}

func (h *hints) change() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
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
		case <-h.changed:
			h.subscribe(has)
		case subject := <-h.out:
			_ = h.nc.Publish(subject, nil)
		case <-h.done:
			return
		}
	}
}

func (h *hints) subscribe(has map[string]*nats.Subscription) {
	var more []string
	var less []*nats.Subscription
	h.mu.Lock()
	for subject := range h.wanted {
		if has[subject] == nil {
			more = append(more, subject)
		}
	}
	for subject, s := range has {
		if h.wanted[subject] == nil {
			less = append(less, s)
			delete(has, subject)
		}
	}
	h.mu.Unlock()
	for _, subject := range more {
		s, err := h.nc.ChanSubscribe(subject, h.come)
		if err != nil {
			continue // the connection is closed
		}
		has[subject] = s
		h.call(subject) // something may have happened before
	}
	for _, s := range less {
		_ = s.Unsubscribe()
	}
}

func (h *hints) receive() {
	for {
		select {
		case m := <-h.come:
			h.call(m.Subject)
		case <-h.done:
			return
		}
	}
}

func (h *hints) call(subject string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.wanted[subject] {
		(*f)()
	}
}
