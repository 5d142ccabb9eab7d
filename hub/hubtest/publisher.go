package hubtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// publish publishes n events that depend on seed.
func (w *world) publish(h *hub.Hub, seed, n int) {
	rng := rand.New(rand.NewPCG(w.program.seed, uint64(seed))) //nolint:gosec // can be replayed
	for range n {
		w.publishOne(h, rng)
	}
}

func (w *world) publishOne(h *hub.Hub, rng *rand.Rand) {
	mark := fmt.Sprint("#", w.truth.number())
	m := &fact{topics: []string{programTopics[rng.IntN(len(programTopics))]}, event: core.Event{Data: mark}}
	switch rng.IntN(40) {
	case 0:
		m.event = core.Event{Type: mark}
	case 1:
		m.event = core.Event{Comment: mark}
	case 2, 3:
		m.event.Data += "\nlines\r\nof \u00e9\u2028 \ufeff and \xff\x00\n"
	case 4, 5:
		m.event = core.Event{Type: "typed", Data: " " + mark, Comment: "two\nlines", Retry: 1500 * time.Millisecond}
	case 6:
		m.event.Data += strings.Repeat(" large", rng.IntN(20_000))
	case 7, 8, 9, 10:
		m.event.Data += strings.Repeat(" some", rng.IntN(300))
	}
	var opts []hub.PublishOption
	if rng.IntN(2) == 0 {
		m.region = programRegions[rng.IntN(len(programRegions))]
		opts = append(opts, hub.WithAttributes(hub.Attributes{"region": m.region}))
	}
	if m.keyed = rng.IntN(3) == 0; m.keyed {
		m.key = []string{"", "1", "2"}[rng.IntN(3)] + m.region // so that a client that wants an event wants the one that replaces it
		opts = append(opts, hub.WithKey(m.key))
	}
	if rng.IntN(6) == 0 {
		m.topics = []string{"b", "a.x", "b.x"}[:2+rng.IntN(2)]
		rng.Shuffle(len(m.topics), func(i, j int) { m.topics[i], m.topics[j] = m.topics[j], m.topics[i] })
		opts = append(opts, hub.WithTopics(m.topics[1:]...))
	}
	attempts := 1
	if rng.IntN(3) == 0 {
		opts = append(opts, hub.WithIdempotencyKey(mark))
		attempts = 2
	}
	event := m.event
	w.truth.expect(m)
	for attempt := range attempts {
		w.truth.mu.Lock()
		m.again = attempt > 0
		w.truth.mu.Unlock()
		troubles := w.troubles.Load()
		limit := w.limit
		if troubles > 0 {
			limit = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		began := time.Now()
		id, err := h.Publish(ctx, m.topics[0], event, opts...)
		took := time.Since(began)
		cancel()
		switch {
		case took > limit+w.limit:
			w.t.Errorf("publish took %v, with a context of %v: %v", took, limit, err)
		case err == nil:
			if err := w.truth.learn(m, id); err != nil {
				w.t.Errorf("publish: %v", err)
			}
			w.truth.mu.Lock()
			if last, ok := w.published[h]; !ok || w.truth.order(id, last) > 0 {
				w.published[h] = id
			}
			w.truth.mu.Unlock()
			return
		case errors.Is(err, core.ErrShutdown) || strings.Contains(err.Error(), "WithMaxBytes"):
			return
		case w.troubles.Load()+w.restarts.Load() == 0:
			w.t.Errorf("publish: %v", err)
			return
		}
	}
}

// publishBad publishes something that must be refused.
func (w *world) publishBad(h *hub.Hub, n int) {
	w.t.Helper()
	topic, e := "a", core.Event{Data: "to be refused"}
	switch n % 5 {
	case 0:
		topic = "a.*"
	case 1:
		topic = "a..b"
	case 2:
		topic = ""
	case 3:
		e.ID = "x"
	default:
		e.Type = "two\nlines"
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.limit)
	defer cancel()
	if id, err := h.Publish(ctx, topic, e); err == nil {
		w.t.Errorf("publish to %q: got %s for %+v, want a refusal", topic, id, e)
	}
}
