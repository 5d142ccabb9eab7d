package hub

import (
	"fmt"
	"slices"
	"strings"
)

// maxTopics is how many topics an event may have.
const maxTopics = 16

// WithTopics publishes the event to more topics as well: an event of an order may be one of
// its customer, too. It is one event, with one ID, and a client that follows several of the
// topics gets it once. An event has at most 16 topics, whose names count for [WithMaxBytes].
// [WithFilter] and [Hub.TopicOf] get the topic that [Hub.Publish] names.
func WithTopics(more ...string) PublishOption {
	return func(p *publication) { p.topics = append(p.topics, more...) }
}

// tidy makes the further topics a set without the first.
func (p *publication) tidy(first string) {
	if len(p.topics) == 0 {
		return
	}
	for i, name := range p.topics {
		p.topics[i] = strings.Clone(name) // a host may reuse its strings' memory
	}
	p.topics = without(first, p.topics)
}

// without makes a set of topics, in place, that the first is not in.
func without(first string, more []string) []string {
	slices.Sort(more)
	return slices.DeleteFunc(slices.Compact(more), func(name string) bool { return name == first })
}

// checkTopics returns what is wrong with the topics of an event, or nil.
func checkTopics(first string, more []string) error {
	if err := CheckTopic(first); err != nil || len(more) == 0 {
		return err
	}
	if len(more) >= maxTopics {
		return fmt.Errorf("hub: publish to %q: %d topics are too many for one event: name up to %d", first, 1+len(more), maxTopics)
	}
	for _, name := range more {
		if err := CheckTopic(name); err != nil {
			return err
		}
	}
	return nil
}

// jointName is the name of a joint, which is the same whichever topic comes first, or of the topic
// if it is only one. A topic has no line end.
func jointName(first string, more []string) string {
	if len(more) == 0 {
		return first
	}
	names := append([]string{first}, more...)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "\n")
}

// known returns the topic, or joint of several topics, that events of these topics are in. It
// returns nil if there is none yet, and an error if a name is wrong.
func (h *Hub) known(first string, more []string) (*topic, error) {
	if len(more) == 0 {
		if t := h.topics[first]; t != nil {
			return t, nil
		}
	} else if t := h.joints[jointName(first, more)]; t != nil {
		return t, nil
	}
	return nil, checkTopics(first, more)
}

// newTopics makes a topic, or a joint. A joint stands for several topics in the log: its sources
// are theirs, so that an event of them is in each source once. It has keys of its own, and is
// kept as long as it has events.
func (h *Hub) newTopics(first string, more []string) *topic {
	if len(more) == 0 {
		return h.newTopic(first)
	}
	j := &topic{source: source{name: jointName(first, more)}}
	for name := range strings.SplitSeq(j.name, "\n") {
		t := h.topics[name]
		if t == nil {
			t = h.newTopic(name)
		}
		j.parts = append(j.parts, t)
	}
	return j
}

// refreshParts updates the sources of a joint.
func (h *Hub) refreshParts(j *topic) {
	seen := make(map[*source]bool)
	j.sources = j.sources[:0]
	for _, t := range j.parts {
		h.refresh(t)
		for _, s := range t.sources {
			if !seen[s] {
				seen[s] = true
				j.sources = append(j.sources, s)
			}
		}
	}
}

// hold counts an event of a joint.
func (m *memory) hold(j *topic) {
	if m.joints == nil {
		m.joints = make(map[string]*topic)
	}
	m.joints[j.name] = j
	j.held++
}

// release forgets a joint without events.
func (m *memory) release(j *topic) {
	if j.held--; j.held == 0 {
		delete(m.joints, j.name)
	}
}
