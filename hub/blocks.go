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
	mu  sync.Mutex
	all []*blockAt // ordered
}

// A blockAt is a frame's block. It is made without a lock that others need.
type blockAt struct {
	begin uint32 // of the frame
	make  sync.Once
	made  atomic.Pointer[deflate.Block] // nil until then
}

// blockAt returns where the record's block is, or will be. All subscriptions get the same one.
func (r record) blockAt() *blockAt {
	b := r.slab.blocks.Load()
	if b == nil {
		r.slab.blocks.CompareAndSwap(nil, new(blocks))
		b = r.slab.blocks.Load()
	}
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
