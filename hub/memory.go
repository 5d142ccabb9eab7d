package hub

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// The frames of several events share memory: a hub that is small takes little of it, and
// each slab is twice as large as the one before.
const (
	firstSlab = 1 << 10
	slabSize  = 64 << 10
)

// A slab is memory for frames. Its bytes are written once, before anybody knows
// of them, and then only read.
type slab struct {
	bytes  []byte
	blocks atomic.Pointer[blocks] // of these frames; nil if nobody has wanted any
}

// A record is where an event's frame is. The zero record is not one.
type record struct {
	slab  *slab
	begin uint32
	size  uint32
}

func (r record) frame() []byte { return r.slab.bytes[r.begin : r.begin+r.size : r.begin+r.size] }

// A place is an event's place in the log: its topic. The zero place is not one.
type place struct {
	topic *topic
	more  *details
	at    int64 // when it came, in ns since the hub began; 0 if no age is bounded
}

// name is the topic that Publish has named.
func (p place) name() string {
	if p.topic.parts != nil {
		return p.more.first
	}
	return p.topic.name
}

// An identity is what a Log says of an event. The zero identity is not one.
type identity struct {
	id   string
	time int64 // in ns since the hub began, by the log's clock
}

// The bounds of what a hub holds. Zero or less is no bound.
type bounds struct {
	maxEvents int
	maxBytes  int
	maxAge    time.Duration
}

// A memory is the events that a hub holds. The hub's lock guards it.
type memory struct {
	bounds

	last    uint64 // the number of the last event
	dropped uint64 // the number of the last event that was dropped for a bound
	drops   int64  // how many there were
	order   list[place]
	bytes   int   // of the frames and details that are held
	written int64 // of all frames there ever were
	slab    *slab // where the next frame goes, at used
	used    int
	scratch []byte

	joints map[string]*topic  // those that hold events, by their names
	once   map[attempt]uint64 // the event of each idempotency key
	onceOf map[uint64]attempt // the inverse
	ids    *list[identity]    // of the events, if a Log assigns them
}

// encode makes e's frame, which is not part of the memory before commit. A frame that
// a later one of its key may replace has memory of its own, so that it does not keep that of
// others alive.
func (m *memory) encode(e core.Event, p publication) (record, error) {
	alone, more := p.keyed, p.details.size()
	room := m.scratch[:0]
	if !alone && m.slab != nil {
		room = m.slab.bytes[m.used:m.used]
	}
	var (
		frame []byte
		err   error
	)
	if p.draft.made {
		frame, err = p.draft.frame(e.ID)
	} else {
		frame, err = e.AppendText(room)
	}
	switch {
	case err != nil:
		return record{}, err
	case m.ids == nil && m.maxBytes > 0 && len(frame)+more > m.maxBytes: // one from a Log is dropped at once, and read there
		return record{}, tooLarge(len(frame)+more, int64(m.maxBytes))
	case int64(len(frame)) > maxFrame:
		return record{}, tooLarge(len(frame), maxFrame)
	case p.draft.made:
		return record{&slab{bytes: frame}, 0, uint32(len(frame))}, nil //nolint:gosec // below maxFrame
	case !alone && m.slab != nil && len(frame) <= cap(room):
	case !alone && len(frame) <= slabSize/16:
		size := max(firstSlab, 16*len(frame)) //nolint:mnd // as above
		if m.slab != nil {
			size = max(size, 2*len(m.slab.bytes)) //nolint:mnd // see slabSize
		}
		m.slab, m.used = &slab{bytes: make([]byte, min(size, slabSize))}, 0
		copy(m.slab.bytes, frame)
	default:
		if cap(frame) <= slabSize {
			m.scratch = frame
		}
		return record{&slab{bytes: slices.Clone(frame)}, 0, uint32(len(frame))}, nil //nolint:gosec // below maxFrame
	}
	return record{m.slab, uint32(m.used), uint32(len(frame))}, nil //nolint:gosec // below slabSize
}

const maxFrame = 1<<32 - 1

// commit appends an event that has been encoded.
func (m *memory) commit(t *topic, r record, more *details, at int64) (number uint64) {
	if r.slab == m.slab {
		m.used += int(r.size)
	}
	m.last++
	m.bytes += int(r.size) + more.size()
	m.written += int64(r.size)
	m.order.push(m.last, place{t, more, at})
	if t.parts != nil {
		m.hold(t)
	}
	for _, s := range t.sources {
		s.records.push(m.last, r)
		s.came++
	}
	return m.last
}

// An attempt is a call of Publish with an idempotency key.
type attempt struct{ topic, key string }

// remember stores the attempt that published an event.
func (m *memory) remember(a attempt, number uint64) {
	if m.once == nil {
		m.once, m.onceOf = make(map[attempt]uint64), make(map[uint64]attempt)
	}
	m.once[a], m.onceOf[number] = number, a
}

// remove removes an event, if it is there.
func (m *memory) remove(number uint64) {
	p, ok := m.order.remove(number)
	if !ok {
		return
	}
	if m.ids != nil {
		m.ids.remove(number)
	}
	if a, ok := m.onceOf[number]; ok {
		delete(m.onceOf, number)
		delete(m.once, a)
	}
	r, _ := p.topic.sources[0].records.remove(number)
	m.bytes -= int(r.size) + p.more.size()
	for _, s := range p.topic.sources[1:] {
		s.records.remove(number)
	}
	if p.topic.parts != nil {
		m.release(p.topic)
	}
}

// place returns the place of an event that is held. hint is where in the order it may be, or
// a little before.
func (m *memory) place(number uint64, hint *int) place {
	const near = 16
	i := *hint
	for last := min(i+near, len(m.order.numbers)); i > 0 && i < last && m.order.numbers[i] < number; {
		i++
	}
	if i >= len(m.order.numbers) || m.order.numbers[i] != number {
		i = m.order.find(number)
	}
	*hint = i + 1
	return m.order.items[i]
}

func tooLarge(size int, most int64) error {
	return fmt.Errorf("an event of %d bytes is larger than the limit of %d: see WithMaxBytes", size, most)
}

// excess returns the oldest event and its topic if it exceeds a bound.
func (m *memory) excess(now int64) (number uint64, t *topic) {
	if m.order.live == 0 {
		return 0, nil
	}
	number, p := m.order.oldest()
	if m.maxEvents > 0 && m.order.live > m.maxEvents ||
		m.maxBytes > 0 && m.bytes > m.maxBytes ||
		m.maxAge > 0 && now-p.at >= int64(m.maxAge) {
		return number, p.topic
	}
	return 0, nil
}
