package hub

import (
	"sync/atomic"
	"time"
)

// Stats are statistics of a hub in this process. Those that only grow do so from the hub's
// beginning.
type Stats struct {
	Published int64 // events that [Hub.Publish] of this process has published
	Delivered int64 // events that subscriptions have taken: one that 100 clients get counts 100 times
	Replaced  int64 // events that a later one of their key has replaced, see [WithKey]
	Dropped   int64 // events that left the memory because of one of its bounds

	Gaps map[GapReason]int64 // how often a subscription has missed events, also one whose state made good for it

	Subscriptions int // that run
	Topics        int // as many as [Hub.Topics] returns
	Patterns      int // that have subscriptions
	Events        int // in memory
	Bytes         int // of their frames, attributes and topics in memory

	Log *LogStats // nil without a [Log]
	Err error     // what [Hub.Healthy] returns
}

// LogStats are statistics on how a hub follows its [Log].
type LogStats struct {
	Events     int64         // events that have come from the log
	Bytes      int64         // size of their frames
	Lag        time.Duration // age of the last event when it came, by the clocks of two machines
	Silent     time.Duration // how long the log has said nothing: normally about a second at most
	Reconnects int64         // how often following has failed and was started again
	Gaps       int64         // how often the log had dropped entries before they came
	Skipped    int64         // entries of other programs that are not sent, because Publish would refuse them
}

// Stats returns statistics, for metrics. It costs some microseconds, whatever the number of
// events and subscriptions. Topics without events and subscribers, of which the hub remembers
// up to 16,384, cost up to 0.2 ms more, in which publishers and subscribers wait.
func (h *Hub) Stats() Stats {
	h.lock()
	defer h.mu.Unlock()
	s := Stats{
		Published:     h.published,
		Delivered:     h.delivered.Load(),
		Replaced:      h.replaced,
		Dropped:       h.memory.drops,
		Gaps:          h.gaps.all(),
		Subscriptions: h.running,
		Topics:        len(h.topics),
		Patterns:      len(h.patterns),
		Events:        h.order.live,
		Bytes:         h.bytes,
		Err:           h.healthy(),
	}
	for _, t := range h.idle { // at most maxIdle
		if t.unused() {
			s.Topics--
		}
	}
	if f := h.follower; f != nil {
		log := f.stats
		log.Silent = time.Since(f.heard)
		s.Log = &log
	}
	return s
}

// TopicStats are statistics of a topic in this process, or of a pattern.
type TopicStats struct {
	Name    string
	Pattern bool

	// Published are the events that have come, from any process. It begins at zero again if
	// the topic was forgotten, because it held no events and nobody subscribed to it.
	Published int64

	Held          int // events in memory, see [WithMaxEvents]
	Subscriptions int // that have named it

	// Behind is how many of the subscriptions without a filter have not taken everything yet:
	// usually some for a moment after each event, and for longer if their clients are slow.
	// What they have taken may still be on its way, see [core.Member].
	Behind int
}

// TopicStats returns statistics of the topics that [Hub.Topics] returns, and of the patterns
// that have subscriptions, in no particular order. If there are many, publishers and
// subscribers go on between its steps, so topics may come and go during the call.
func (h *Hub) TopicStats() []TopicStats {
	h.lock()
	for h.trim() {
		h.breathe()
	}
	room := len(h.topics) + len(h.patterns)
	h.mu.Unlock()
	all := make([]TopicStats, 0, room+room/8) // without the lock, because it may take milliseconds
	h.lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		if !t.unused() {
			all = append(all, t.stats())
		}
		h.did(1)
	}
	for _, s := range h.patterns {
		stats := s.stats()
		stats.Pattern = true
		all = append(all, stats)
		h.did(1)
	}
	return all
}

func (s *source) stats() TopicStats {
	filtered := len(s.watchers.links) - len(s.watchers.gone)
	return TopicStats{
		Name:          s.name,
		Published:     s.came,
		Held:          s.records.live,
		Subscriptions: len(s.members),
		Behind:        len(s.members) - filtered - len(s.waiting),
	}
}

// gapReasons are all reasons, in the order of gapCounts.
var gapReasons = [...]GapReason{GapDropped, GapExpired, GapRestarted, GapUnknown}

type gapCounts [len(gapReasons)]atomic.Int64

func (c *gapCounts) add(r GapReason) {
	for i := range gapReasons {
		if gapReasons[i] == r {
			c[i].Add(1)
		}
	}
}

func (c *gapCounts) all() map[GapReason]int64 {
	all := make(map[GapReason]int64, len(gapReasons))
	for i, r := range gapReasons {
		all[r] = c[i].Load()
	}
	return all
}
