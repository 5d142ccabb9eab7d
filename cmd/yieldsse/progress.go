package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

// The times between lines of progress. On a terminal each replaces the previous one.
const (
	terminalTick = time.Second
	fileTick     = 5 * time.Second
)

// showProgress writes the result of line from time to time, until stop is called.
func showProgress(w io.Writer, terminal bool, line func() string) (stop func()) {
	tick, before, after := fileTick, "", "\n"
	if terminal {
		tick, before, after = terminalTick, "\r\x1b[K", ""
	}
	var (
		done    = make(chan struct{})
		stopped sync.WaitGroup
	)
	stopped.Go(func() {
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				fmt.Fprint(w, before+line()+after)
			case <-done:
				fmt.Fprint(w, before)
				return
			}
		}
	})
	return func() {
		close(done)
		stopped.Wait()
	}
}

// progress describes what happened since the last call. It is for one goroutine.
func (m *meter) progress(streams int) string {
	now := m.snapshot()
	last := m.lastTick
	m.lastTick = now
	took := now.at.Sub(last.at)
	_, events := rate(now.events-last.events, took)
	_, bytes := rate(now.bytes-last.bytes, took)

	m.mu.Lock()
	defer m.mu.Unlock()
	state := "opening"
	if m.measuring.Load() {
		state = now.at.Sub(m.start.at).Round(time.Second).String()
	}
	return fmt.Sprintf("%s: %d of %d open, %.0f events/s, %s/s, %s, %s", state, now.open, streams,
		events, bytesText(bytes), words.Count(m.reconnect.Load(), "reconnect"), words.Count(m.lost, "error"))
}
