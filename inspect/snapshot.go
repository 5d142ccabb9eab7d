package inspect

import (
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
)

const (
	fresh = time.Second     // how long a snapshot serves those who look, from when it is complete
	kept  = 3 * time.Second // how long it is kept for the next one, which has rates because of it
)

// A snapshot is everything that there is to see at a moment. It is not changed any more.
type snapshot struct {
	at       time.Time      // when taking it began
	done     time.Time      // when it was complete
	groups   map[string]int // the number of sessions
	sessions []session
	topics   []topic
	hubs     map[string]hub.Stats
	runs     map[string]run.Stats
	came     map[topicName]int64 // what has been published
}

// A session is a member of a group of this name.
type session struct {
	core.Member

	group string
}

// A topic is one of a hub of this name.
type topic struct {
	hub.TopicStats

	hub  string
	rate float64 // events per second since the last snapshot; negative if it is not known
}

type topicName struct{ hub, topic string }

// snapshot returns one that is fresh.
func (h *Handler) snapshot() *snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil || time.Since(h.last.done) >= fresh {
		h.last = h.take(h.last)
	}
	if h.forget == nil {
		h.forget = time.AfterFunc(kept, h.drop)
	} else {
		h.forget.Reset(kept)
	}
	return h.last
}

// drop forgets the last snapshot, because nobody looks any more, unless somebody has just
// taken one.
func (h *Handler) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil && time.Since(h.last.done) >= kept {
		h.last = nil
	}
}

// take makes a snapshot. before is the last one, or nil.
func (h *Handler) take(before *snapshot) *snapshot {
	s := &snapshot{
		at:     time.Now(),
		groups: make(map[string]int),
		hubs:   make(map[string]hub.Stats),
		runs:   make(map[string]run.Stats),
		came:   make(map[topicName]int64),
	}
	room := 0
	for _, g := range h.Groups {
		room += g.Len()
	}
	s.sessions = make([]session, 0, room+room/8)
	for name, g := range h.Groups {
		n := len(s.sessions)
		for m := range g.Members() {
			s.sessions = append(s.sessions, session{m, name})
		}
		s.groups[name] = len(s.sessions) - n
	}
	for name, one := range h.Hubs {
		s.hubs[name] = one.Stats()
		for _, t := range one.TopicStats() {
			s.addTopic(t, name, before)
		}
	}
	for name, r := range h.Runs {
		s.runs[name] = r.Stats()
	}
	s.done = time.Now()
	return s
}

func (s *snapshot) addTopic(t hub.TopicStats, of string, before *snapshot) {
	name := topicName{of, t.Name}
	s.came[name] = t.Published
	rate := -1.0
	if before != nil {
		came := before.came[name] // 0 for a new one
		if came > t.Published {   // it was forgotten and has begun again
			came = 0
		}
		rate = float64(t.Published-came) / s.at.Sub(before.at).Seconds()
	}
	s.topics = append(s.topics, topic{t, of, rate})
}
