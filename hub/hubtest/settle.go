package hubtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// kick ends the subscriptions that have named name.
func (w *world) kick(at *slot, name string) {
	until := w.until(at.hub)
	for _, v := range w.visits {
		if v.hub == at.hub && slices.Contains(v.names, name) {
			w.kicked(v, until, len(v.entries()) > 0)
		}
	}
	at.hub.Kick(name)
}

// until returns the ID of the last event that subscriptions get if they are ended now, or
// of an earlier event.
func (w *world) until(h *hub.Hub) string {
	until := h.LastID()
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	if id, ok := w.published[h]; ok && w.truth.order(id, until) > 0 {
		return id
	}
	return until
}

// kicked records that a visit may end, or has to, once it has what there was.
func (w *world) kicked(v *visit, until string, ends bool) {
	troubles := w.troubles.Load()
	if !v.mayEnd && troubles == w.settled && len(v.entries()) > 0 { // a second kick does nothing
		v.until, v.calm = until, troubles
	}
	v.mayEnd, v.ends = true, v.ends || ends
}

// restart shuts a hub down, and opens another one.
func (w *world) restart(at *slot) {
	w.t.Helper()
	w.restarts.Add(1)
	w.shutDown(at)
	if w.server.Open == nil {
		w.lossy = true
	} else {
		at.die()
	}
	w.open(at)
}

// shutDown shuts a hub down. Its clients read the rest.
func (w *world) shutDown(at *slot) {
	w.t.Helper()
	h, until := at.hub, w.until(at.hub)
	mine := slices.DeleteFunc(slices.Clone(w.visits), func(v *visit) bool { return v.hub != h || v.left || v.isOver() })
	for _, v := range mine {
		w.kicked(v, until, true)
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.limit)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.Shutdown(ctx) }()
	for _, v := range mine {
		v.gate.set(true)
	}
	if err := <-ended; err != nil {
		w.t.Fatalf("%v; its clients: %v", err, mine)
	}
	for _, v := range mine {
		select {
		case <-v.over:
		case <-ctx.Done():
			w.t.Fatalf("%v: its hub was shut down, but its session has not ended", v)
		}
	}
	at.old = append(at.old, h)
	if _, err := h.Publish(context.Background(), "a", core.Event{}); !errors.Is(err, core.ErrShutdown) {
		w.t.Errorf("publish after the shutdown: %v", err)
	}
}

// settle ends all accidents, and waits until all clients have everything that they want.
func (w *world) settle() {
	w.t.Helper()
	w.heal()
	for _, v := range w.visits {
		v.gate.set(true)
	}
	w.busy.Wait()
	var lacks []string
	defer func() {
		if len(lacks) > 0 {
			w.t.Logf("%s", strings.Join(lacks, "\n"))
		}
	}()
	for waiting := true; waiting; { // as long as they get more
		before := strings.Join(lacks, "\n")
		w.eventually("a client that lacks something gets more", func() bool {
			lacks = w.lacks()
			waiting = len(lacks) > 0 && !w.t.Failed()
			return !waiting || strings.Join(lacks, "\n") != before
		})
	}
	for i, s := range w.slots {
		w.eventually(fmt.Sprintf("hub %d is healthy", i), func() bool {
			err := s.hub.Healthy()
			return err == nil || strings.Contains(err.Error(), "cannot be read") // which stays for a while
		})
	}
	w.settled = w.troubles.Load()
}

func (w *world) heal() {
	w.revive()
	for _, s := range w.slots {
		if s.log != nil {
			s.log.fail(doRecover, 0)
		}
		if s.proxy != nil {
			s.proxy.Resume()
		}
	}
}

// lacks judges all visits, and returns what they still lack.
func (w *world) lacks() (lacks []string) {
	w.t.Helper()
	over, got := make([]bool, len(w.visits)), make([][]core.Event, len(w.visits))
	for i, v := range w.visits {
		over[i], got[i] = v.isOver(), v.entries()
	}
	w.learn(got)
	h := w.truth.history()
	for i, v := range w.visits {
		toCome, err := h.judge(v, got[i], !w.lossy)
		if err == nil && over[i] {
			err = w.judgeEnd(v, toCome)
		}
		n := len(got[i])
		unknown := v.from == hub.Now && v.begin == "" && n == 0
		switch {
		case err != nil:
			w.t.Errorf("%v, after %d entries: %v\n%s", v, n, err, brief(got[i]))
			return nil
		case over[i] || v.left || unknown:
		case v.ends:
			lacks = append(lacks, fmt.Sprintf("%v, after %d entries, has not ended", v, n))
		case v.state && v.fresh() && n == 0:
			lacks = append(lacks, fmt.Sprintf("%v lacks the state", v))
		case toCome != "":
			lacks = append(lacks, fmt.Sprintf("%v, after %d entries, lacks %s", v, n, toCome))
		}
	}
	return lacks
}

// learn learns from what clients were sent.
func (w *world) learn(got [][]core.Event) {
	w.t.Helper()
	for i, entries := range got {
		for _, e := range entries {
			if _, ok := gapOf(e); ok || isState(e) {
				if e.ID != "" {
					w.truth.begins(e.ID)
				}
			} else if err := w.truth.sent(e); err != nil {
				w.t.Errorf("%v: %v", w.visits[i], err)
			}
		}
	}
}

// judgeEnd judges how a visit has ended.
func (w *world) judgeEnd(v *visit, toCome string) error {
	failure := v.summary.Err
	switch {
	case v.left:
		return nil
	case errors.Is(failure, hub.ErrLagged):
		if !v.slot.end && !v.state || !w.lossy {
			return fmt.Errorf("it has ended with %w", failure)
		}
	case errors.Is(failure, core.ErrShutdown):
		if !slices.Contains(v.slot.old, v.hub) {
			return fmt.Errorf("it has ended with %w", failure)
		}
	case failure != nil && v.mayEnd && v.troubled() && strings.Contains(failure.Error(), "its last events cannot be read"):
	case failure != nil || v.summary.Cause != nil:
		return fmt.Errorf("it has ended with %w, %w", failure, v.summary.Cause)
	case !v.mayEnd:
		return errors.New("it has ended without a reason")
	case !v.clean:
		return errors.New("its response is broken, though its stream has ended cleanly")
	}
	if failure == nil && toCome != "" && !v.troubled() && w.truth.order(toCome, v.until) <= 0 {
		return fmt.Errorf("it has ended without %s, which was published before the end", toCome)
	}
	if failure != nil && v.clean {
		return fmt.Errorf("its response is whole, though its stream has failed: %w", failure)
	}
	return nil
}

// finish ends everything, and judges the whole.
func (w *world) finish() {
	w.t.Helper()
	w.heal()
	w.busy.Wait()
	if !w.t.Failed() && w.probe != nil {
		w.readAll()
	}
	for _, s := range w.slots {
		w.shutDown(s)
	}
	if !w.t.Failed() {
		w.lacks()
	}
	for _, v := range w.visits {
		w.end(v)
	}
}

// readAll reads the whole log through a new hub, and waits until all clients have everything in it.
func (w *world) readAll() {
	w.t.Helper()
	s := &slot{}
	w.open(s)
	defer w.shutDown(s)
	w.eventually("a new hub has heard from the log", func() bool { return s.hub.LastID() != "" })
	c := &subscriber{names: []string{">"}}
	v := &visit{slot: s, names: c.names, from: hub.Oldest}
	w.enter(c, v)
	w.eventually("a new hub has read the log", func() bool {
		last := w.last() // an event whose publisher has given up may come late
		return s.hub.LastID() == last && w.read(last) && len(w.lacks()) == 0 || w.t.Failed()
	})
}

// read reports whether a page after the log's last ID is empty.
func (w *world) read(last string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.limit)
	defer cancel()
	entries, err := w.probe.Range(ctx, last, 1)
	return err == nil && len(entries) == 0
}

// eventually waits until done returns true.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	hosttest.EventuallyWithin(w.t, w.limit, what, done)
}

// brief describes what a client was sent, in a few words.
func brief(entries []core.Event) string {
	words := make([]string, len(entries))
	for i, e := range entries {
		words[i] = e.ID
		if gap, ok := gapOf(e); ok {
			words[i] = fmt.Sprintf("GAP:%s(%s,%s]", gap.Reason, gap.After, e.ID)
		}
		if isState(e) {
			words[i] = fmt.Sprintf("STATE(%s,%s]", e.Data, e.ID)
		}
	}
	return "it was sent " + strings.Join(words, " ")
}
