package hub

import (
	"fmt"
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// blockSize is how many bytes the frames of several events share.
const blockSize = 64 << 10

// A block is memory for frames. Its bytes are written once, before anybody knows
// of them, and then only read.
type block []byte

// A record is where an event's frame is. The zero record is none.
type record struct {
	block *block
	begin uint32
	size  uint32
}

func (r record) frame() []byte { return (*r.block)[r.begin : r.begin+r.size : r.begin+r.size] }

// A place is where in the log an event is: its topic. The zero place is none.
type place struct {
	topic *topic
	at    int64 // when it came, in ns since the hub began; 0 if no age is set
}

// The bounds of what a hub holds. Zero or less is none.
type bounds struct {
	maxEvents int
	maxBytes  int
	maxAge    time.Duration
}

// A log is the events that a hub holds. The hub's lock guards it.
type log struct {
	bounds

	last    uint64 // the number of the last event
	dropped uint64 // that of the last one that was dropped for a bound
	order   list[place]
	bytes   int
	block   *block // where the next frame goes, behind those that are there
	used    int
	scratch []byte
}

// encode makes e's frame, which is not part of the log before commit. Frames that
// a later one of their key may replace have memory of their own: it should not
// keep that of others.
func (l *log) encode(e core.Event, alone bool) (record, error) {
	room := l.scratch[:0]
	if !alone && l.block != nil {
		room = (*l.block)[l.used:l.used]
	}
	frame, err := e.AppendText(room)
	switch {
	case err != nil:
		return record{}, err
	case l.maxBytes > 0 && len(frame) > l.maxBytes:
		return record{}, fmt.Errorf("an event of %d bytes does not fit into a log of %d: see WithMaxBytes", len(frame), l.maxBytes)
	case int64(len(frame)) > maxFrame:
		return record{}, fmt.Errorf("an event of %d bytes is too large: at most %d", len(frame), int64(maxFrame))
	case !alone && l.block != nil && len(frame) <= cap(room):
	case !alone && len(frame) <= blockSize/16:
		b := make(block, blockSize)
		l.block, l.used = &b, 0
		copy(b, frame)
	default:
		if cap(frame) <= blockSize {
			l.scratch = frame
		}
		b := block(slices.Clone(frame))
		return record{&b, 0, uint32(len(b))}, nil //nolint:gosec // below maxFrame
	}
	return record{l.block, uint32(l.used), uint32(len(frame))}, nil //nolint:gosec // below blockSize
}

const maxFrame = 1<<32 - 1

// commit appends an event that has been encoded.
func (l *log) commit(t *topic, r record, at int64) {
	if r.block == l.block {
		l.used += int(r.size)
	}
	l.last++
	l.bytes += int(r.size)
	l.order.push(l.last, place{t, at})
	for _, s := range t.sources {
		s.records.push(l.last, r)
	}
}

// remove takes an event out, if it is there.
func (l *log) remove(number uint64) {
	p, ok := l.order.remove(number)
	if !ok {
		return
	}
	r, _ := p.topic.records.remove(number)
	l.bytes -= int(r.size)
	for _, s := range p.topic.sources[1:] {
		s.records.remove(number)
	}
}

// excess returns the oldest event and its topic if it is one too many.
func (l *log) excess(now int64) (number uint64, t *topic) {
	if l.order.live == 0 {
		return 0, nil
	}
	number, p := l.order.oldest()
	if l.maxEvents > 0 && l.order.live > l.maxEvents ||
		l.maxBytes > 0 && l.bytes > l.maxBytes ||
		l.maxAge > 0 && now-p.at >= int64(l.maxAge) {
		return number, p.topic
	}
	return 0, nil
}
