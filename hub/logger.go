package hub

import (
	"context"
	"log/slog"
	"time"
)

// checks is how often a monitor looks.
const checks = time.Second

// A monitor writes to the logger what the follower of a hub's Log meets.
type monitor struct {
	hub    *Hub
	logger *slog.Logger
	since  time.Time // when the trouble was first seen; zero without
	told   LogStats
}

func (m *monitor) start() { time.AfterFunc(checks, m.check) }

func (m *monitor) check() {
	h, now := m.hub, time.Now()
	h.lock()
	closed, err, stats := h.closed, h.healthy(), h.follower.stats
	h.mu.Unlock()
	if closed {
		return
	}
	defer m.start()
	told, since := m.told, m.since
	m.told = stats // before a handler that may end the goroutine
	ctx := context.Background()
	switch {
	case err != nil && since.IsZero():
		m.since = now
		m.logger.LogAttrs(ctx, slog.LevelWarn, "hub: the log is in trouble", slog.Any("error", err))
	case err == nil && !since.IsZero():
		m.since = time.Time{}
		m.logger.LogAttrs(ctx, slog.LevelInfo, "hub: the log is well again", slog.Duration("after", now.Sub(since)))
	}
	if n := stats.Gaps - told.Gaps; n > 0 {
		m.logger.LogAttrs(ctx, slog.LevelWarn, "hub: events are missing from the log", slog.Int64("gaps", n))
	}
	if n := stats.Skipped - told.Skipped; n > 0 {
		m.logger.LogAttrs(ctx, slog.LevelWarn, "hub: entries of another program were skipped", slog.Int64("entries", n))
	}
}
