package hub

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/deflate"
)

// blocks are the compressed frames of a slab, each made when it is first wanted, and kept as
// long as the slab is.
type blocks struct {
	mu      sync.Mutex
	all     []*blockAt                   // ordered
	waiting map[*blockAt][]*subscription // for those that a goroutine of takeBlocks makes
}

// A blockAt is a frame's block. It is made without a lock that others need.
type blockAt struct {
	begin uint32 // of the frame
	make  sync.Once
	made  atomic.Pointer[deflate.Block] // nil until then
}

// blocks returns the blocks of the record's slab.
func (r record) blocks() *blocks {
	b := r.slab.blocks.Load()
	if b == nil {
		r.slab.blocks.CompareAndSwap(nil, new(blocks))
		b = r.slab.blocks.Load()
	}
	return b
}

// blockAt returns where the record's block is, or will be. All subscriptions get the same one.
func (r record) blockAt() *blockAt {
	b := r.blocks()
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := slices.BinarySearchFunc(b.all, r.begin, func(at *blockAt, begin uint32) int { return cmp.Compare(at.begin, begin) })
	if !found {
		b.all = slices.Insert(b.all, i, &blockAt{begin: r.begin})
	}
	return b.all[i]
}

// block returns the record's frame, compressed. It waits while another goroutine compresses it.
func (r record) block() deflate.Block {
	at := r.blockAt()
	at.make.Do(func() {
		block := deflate.NewBlock(r.frame())
		at.made.Store(&block)
	})
	return *at.made.Load()
}

// hasBlock reports whether block returns at once.
func (r record) hasBlock() bool { return r.blockAt().made.Load() != nil }

func appendBlocks(frames *[][]byte, some []candidate) {
	for _, c := range some {
		*frames = append(*frames, c.block())
	}
}

// errBlocks means that the blocks of what was read are made first.
var errBlocks = errors.New("hub: the blocks come next")

// takeBlocks appends the blocks of the errand's events, which makeBlocks has been called for. It
// does not wait for those that have not been made: one goroutine makes them, however many
// subscriptions want them, and then wakes these. more is false if some are missing.
func (s *subscription) takeBlocks(frames *[][]byte) (more bool) {
	e, taken := s.errand, 0
	for _, c := range e.some {
		block := c.blockFor(s, e)
		if block == nil {
			break
		}
		*frames = append(*frames, *block)
		taken++
	}
	s.hub.delivered.Add(int64(taken))
	if e.some = e.some[taken:]; len(e.some) > 0 {
		return false
	}
	s.errand = nil
	return true
}

// blockFor returns the record's block, or nil, and then wakes s when it has been made.
func (r record) blockFor(s *subscription, e *errand) *deflate.Block {
	at, b := r.blockAt(), r.blocks()
	b.mu.Lock()
	defer b.mu.Unlock()
	block := at.made.Load()
	if block == nil && e.awaits != at {
		e.awaits = at
		b.waiting[at] = append(b.waiting[at], s)
	}
	return block
}

// makeBlocks starts a goroutine that makes the blocks of events, except those that another
// one makes.
func makeBlocks(some []candidate) {
	var claimed []record
	for _, c := range some {
		if c.claim() {
			claimed = append(claimed, c.record)
		}
	}
	if len(claimed) == 0 {
		return
	}
	go func() {
		for _, r := range claimed {
			_ = r.block()
			for _, s := range r.noLongerWaiting() {
				s.wakeUp()
			}
		}
	}()
}

// claim reports whether the caller must make the record's block, because nobody has or does.
func (r record) claim() bool {
	at, b := r.blockAt(), r.blocks()
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, claimed := b.waiting[at]; claimed || at.made.Load() != nil {
		return false
	}
	if b.waiting == nil {
		b.waiting = make(map[*blockAt][]*subscription)
	}
	b.waiting[at] = nil
	return true
}

// noLongerWaiting returns who has waited for the record's block, which has been made.
func (r record) noLongerWaiting() []*subscription {
	at, b := r.blockAt(), r.blocks()
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := b.waiting[at]
	delete(b.waiting, at)
	return waiting
}

// takesLong reports whether the blocks of events must not be made by a worker, because others
// wait for it. A block takes about as long as 40 ns for each byte, and 16 µs.
func takesLong(some []candidate) bool {
	const (
		each = 400
		most = 16 << 10
	)
	size := 0
	for _, c := range some {
		size += each + int(c.size)
	}
	if size <= most {
		return false
	}
	for _, c := range some {
		if c.hasBlock() {
			size -= each + int(c.size)
		}
	}
	return size > most
}

// An encoder makes frames that other subscriptions do not get, to be given together.
type encoder struct {
	context *deflate.Context // nil if they are not compressed
	text    []byte
}

func (s *subscription) encoder() *encoder {
	if !s.zipped {
		return new(encoder)
	}
	return &encoder{context: new(deflate.Context)}
}

func (enc *encoder) encode(e core.Event) (frame []byte, err error) {
	if enc.context == nil {
		return e.AppendText(nil) //nolint:wrapcheck // the caller says what it was for
	}
	if enc.text, err = e.AppendText(enc.text[:0]); err != nil {
		return nil, err //nolint:wrapcheck // likewise
	}
	return enc.context.NewBlock(enc.text), nil
}
