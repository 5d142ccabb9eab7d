package hub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Attributes say something about an event, for [WithFilter]. Clients do not get them. They
// must not be changed.
type Attributes map[string]string

const (
	maxAttributes = 4 << 10 // bytes of an event's attributes
	maxKey        = 255     // bytes of each of its keys
)

// WithAttributes gives the event attributes, which [WithFilter] decides by. They have valid
// UTF-8, and up to 4 KiB, which count for [WithMaxBytes].
func WithAttributes(a Attributes) PublishOption {
	kept := make(Attributes, len(a))
	for name, value := range a {
		kept[strings.Clone(name)] = strings.Clone(value) // a host may reuse its strings' memory
	}
	d := newDetails(kept, "", nil)
	return func(p *publication) { p.details = d }
}

// WithFilter has the subscription get only the events for which f returns true. topic is the
// one that [Hub.Publish] has named, even if the event has more (see [WithTopics]), and a is
// nil if the event has no attributes. The events are still encoded once for all clients, and
// the subscription needs no goroutine.
//
// f must only decide by its arguments and by what does not change: it is called for each
// event of the subscription's topics, perhaps more than once and not in order, and by several
// goroutines at once, even shortly after the stream's end. So an f that counts or remembers
// must not be used. f is not called for the events of a state or for a gap event. It is
// called outside all of the hub's locks, and not by Publish, but other streams wait for it:
// it must return at once, and not lock, wait, or call the hub. If it panics, the stream fails
// as if the panic were its own.
//
// A filter is cheap, but not free: if most clients want only a small part of a topic's
// events, and the part has a name, give it a topic of its own. When the hub has dropped
// events before f was called for them, it cannot know whether f would have kept them, so the
// client is told of a gap in any case. An event that a later one of its key has replaced (see
// [WithKey]) is not sent, even if f does not want the later one: events of one key should
// have the attributes that filters decide by in common.
func WithFilter(f func(topic string, a Attributes) bool) SubscribeOption {
	return func(s *selection) { s.filter = f }
}

// details are what an event has besides its frame; nil if it has none.
type details struct {
	Attributes

	first string // of several topics, the one that Publish has named
	bytes int
}

// newDetails returns the details of an event of some topics: the first, and more besides.
func newDetails(a Attributes, first string, more []string) *details {
	if len(a) == 0 && len(more) == 0 {
		return nil
	}
	const overhead = 48 // of an attribute or a topic
	d := &details{Attributes: a}
	for name, value := range a {
		d.bytes += overhead + len(name) + len(value)
	}
	if len(more) > 0 {
		d.first = strings.Clone(first)
		d.bytes += overhead + len(first)
	}
	for _, name := range more {
		d.bytes += overhead + len(name)
	}
	return d
}

// size is about how much memory they take.
func (d *details) size() int {
	if d == nil {
		return 0
	}
	return d.bytes
}

// all returns the attributes, which may be nil.
func (d *details) all() Attributes {
	if d == nil {
		return nil
	}
	return d.Attributes
}

// check completes a publication to a topic, and returns what is wrong with its options.
func (p *publication) check(topic string) error {
	switch {
	case len(p.key) > maxKey:
		return fmt.Errorf("the key has %d bytes: it may have at most %d, see WithKey", len(p.key), maxKey)
	case len(p.idempotency) > maxKey:
		return fmt.Errorf("the idempotency key has %d bytes: it may have at most %d, see WithIdempotencyKey", len(p.idempotency), maxKey)
	}
	if p.tidy(topic); len(p.topics) > 0 {
		p.details = newDetails(p.details.all(), topic, p.topics)
	}
	n := 0
	for name, value := range p.details.all() {
		if n += len(name) + len(value); n > maxAttributes {
			return fmt.Errorf("the attributes have more than %d bytes: see WithAttributes", maxAttributes)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fmt.Errorf("the attribute %q: %q is not valid UTF-8", name, value)
		}
	}
	return nil
}

// A batch is what a subscription reads from the memory at once: frames, or candidates if there
// is more to do when the hub is not locked any more.
type batch struct {
	frames *[][]byte
	some   *[]candidate // nil for frames
	places bool         // of the candidates are wanted
}

// A candidate is an event that a filter has yet to be asked about, or that may have to be
// compressed.
type candidate struct {
	record

	place place // for a filter
}

func (b *batch) size() int {
	if b.some != nil {
		return len(*b.some)
	}
	return len(*b.frames)
}

// add adds the event of a number. hint is that of memory.place.
func (b *batch) add(h *Hub, r record, number uint64, hint *int) {
	switch {
	case b.places:
		*b.some = append(*b.some, candidate{r, h.place(number, hint)})
	case b.some != nil:
		*b.some = append(*b.some, candidate{record: r})
	default:
		*b.frames = append(*b.frames, r.frame())
	}
}

var candidates = sync.Pool{New: func() any { return new([]candidate) }}

// filterRounds is how often one call of readFiltered reads if the filter drops everything.
const filterRounds = 8

// readSome is read with a filter or for a response that is compressed.
func (s *subscription) readSome(frames *[][]byte, most int) (gap *Gap, more bool, err error) {
	some := candidates.Get().(*[]candidate) //nolint:forcetypeassert // the pool's only type
	for range filterRounds {
		gap, more, err = s.readAll(&batch{frames, some, s.filter != nil}, most)
		if s.filter != nil {
			*some = slices.DeleteFunc(*some, func(c candidate) bool { return !s.filter(c.place.name(), c.place.more.all()) })
		}
		switch {
		case !s.zipped:
			for _, c := range *some {
				*frames = append(*frames, c.frame())
			}
		case s.feed != nil && takesLong(*some):
			s.errand, err = &errand{next: errBlocks, some: slices.Clone(*some)}, errBlocks
		default:
			appendBlocks(frames, *some)
		}
		clear(*some)
		*some = (*some)[:0]
		if !more || len(*frames) > 0 || gap != nil || err != nil {
			break
		}
	}
	candidates.Put(some) // unless the filter has panicked
	return gap, more, err
}
