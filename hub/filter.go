package hub

import (
	"fmt"
	"maps"
	"sync"
	"unicode/utf8"
)

// Attributes say something about an event, for [WithFilter]. Clients do not get them. They
// must not be changed.
type Attributes map[string]string

// maxAttributes is how many bytes the attributes of an event may have.
const maxAttributes = 4 << 10

// WithAttributes gives the event attributes, which [WithFilter] decides by. They have valid
// UTF-8, and up to 4 KiB, which count for [WithMaxBytes].
func WithAttributes(a Attributes) PublishOption {
	kept := newAttributes(maps.Clone(a))
	return func(p *publication) { p.attributes = kept }
}

// WithFilter has the subscription get only the events for which f returns true. topic is the
// one that [Hub.Publish] has named, even if the event has more (see [WithTopics]), and a is nil
// if the event has no attributes. The events are still encoded once for all clients, and the
// subscription needs no goroutine.
//
// f is called for each event of the subscription's topics, perhaps more than once, and not for
// those of a state or for a gap event. It runs outside all of the hub's locks, in the goroutine of the stream
// or in one that serves other streams as well. So it must return at once: it must not wait, and not
// call the hub. If it panics, the stream fails as if the panic were its own.
//
// A filter is cheap, but not free: if most clients want only a small part of a topic's events, and
// the part has a name, give it a topic of its own. When the hub has dropped events, it cannot know
// whether f would have kept them, so a client is told of a gap in any case.
func WithFilter(f func(topic string, a Attributes) bool) SubscribeOption {
	return func(s *selection) { s.filter = f }
}

// attributes are those of an event in the memory.
type attributes struct {
	Attributes

	bytes int
}

func newAttributes(a Attributes) *attributes {
	if len(a) == 0 {
		return nil
	}
	return &attributes{a, a.size()}
}

// size is about how much memory they take.
func (a Attributes) size() int {
	const overhead = 48 // of a pair
	n := 0
	for name, value := range a {
		n += overhead + len(name) + len(value)
	}
	return n
}

// size is Attributes.size for attributes that may be nil.
func (a *attributes) size() int {
	if a == nil {
		return 0
	}
	return a.bytes
}

// all returns the attributes, which may be nil.
func (a *attributes) all() Attributes {
	if a == nil {
		return nil
	}
	return a.Attributes
}

// check returns what is wrong with the options of a publication to a topic.
func (p *publication) check(topic string) error {
	p.tidy(topic)
	n := 0
	for name, value := range p.attributes.all() {
		if n += len(name) + len(value); n > maxAttributes {
			return fmt.Errorf("the attributes have more than %d bytes: see WithAttributes", maxAttributes)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fmt.Errorf("the attribute %q: %q is not valid UTF-8", name, value)
		}
	}
	return nil
}

// A candidate is what a filter sees of an event.
type candidate struct {
	topic *topic
	more  *attributes
}

var candidatePool = sync.Pool{New: func() any { return new([]candidate) }}

// filterRounds is how often one call of readFiltered reads if the filter drops everything.
const filterRounds = 8

// readFiltered is read with a filter.
func (s *subscription) readFiltered(frames *[][]byte, most int) (gap *Gap, more bool, err error) {
	some := candidatePool.Get().(*[]candidate) //nolint:forcetypeassert // the pool's only type
	for range filterRounds {
		gap, more, err = s.readAll(frames, most, some)
		kept := (*frames)[:0]
		for i, c := range *some {
			if s.filter(c.topic.first(), c.more.all()) {
				kept = append(kept, (*frames)[i])
			}
		}
		clear((*frames)[len(kept):])
		*frames = kept
		clear(*some)
		*some = (*some)[:0]
		if !more || len(*frames) > 0 || gap != nil || err != nil {
			break
		}
	}
	candidatePool.Put(some) // unless the filter has panicked
	return gap, more, err
}

// candidate returns the candidate of an event that is held. hint is where in the order it may be.
func (m *memory) candidate(number uint64, hint *int) candidate {
	i := *hint
	if i >= len(m.order.numbers) || m.order.numbers[i] != number {
		i = m.order.find(number)
	}
	*hint = i + 1
	p := m.order.items[i]
	return candidate{p.topic, p.more}
}
