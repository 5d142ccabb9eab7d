package host

import (
	"sync/atomic"

	"github.com/yieldsse/yieldsse/internal/deflate"
)

// A gzip is the response of a session in its compressed form. A nil one is for a response that
// is not compressed: its methods change nothing. The session's mu guards it.
type gzip struct {
	sum     deflate.Sum
	context *deflate.Context // of a generator: what it has sent; otherwise nil
	begun   bool
	done    int // how much of what waits is compressed
}

// remember makes the texts that follow be compressed with what came before them.
func (g *gzip) remember() {
	if g != nil && g.context == nil {
		g.context = new(deflate.Context)
	}
}

// blocks returns the sum for blocks that follow, or nil if frames are not blocks.
func (g *gzip) blocks() *deflate.Sum {
	if g == nil {
		return nil
	}
	g.context = nil
	return &g.sum
}

// skip says that everything in b is compressed.
func (g *gzip) skip(b *[]byte) {
	if g != nil {
		g.done = len(*b)
	}
}

// compress compresses what is in b and was not skipped.
func (g *gzip) compress(b *[]byte) {
	if g == nil || g.begun && len(*b) == g.done {
		return
	}
	out := getBuffer()
	defer putBuffer(out)
	if !g.begun {
		g.begun = true
		*out = append(*out, deflate.Header...)
	}
	if text := (*b)[g.done:]; len(text) > 0 {
		*out = g.append(*out, text)
	}
	*b = append((*b)[:g.done], (*out)[headroom:]...)
	g.skip(b)
}

func (g *gzip) append(dst, text []byte) []byte {
	if g.context != nil {
		g.sum.Add(text)
		return g.context.Append(dst, text)
	}
	last := lastAlone.Load()
	if last == nil || last.text != string(text) {
		last = &alone{string(text), deflate.NewBlock(text)}
		if len(text) <= maxKept {
			lastAlone.Store(last)
		}
	}
	return append(dst, g.sum.AddBlock(last.block)...)
}

// An alone is a text that is compressed by itself, with the result. Most are heartbeats, which
// are the same for all sessions, so the last one is kept.
type alone struct {
	text  string
	block deflate.Block
}

var lastAlone atomic.Pointer[alone]

// end adds the end of the response to what waits in b.
func (g *gzip) end(b *[]byte) {
	g.compress(b)
	*b = g.sum.AppendTrailer(*b)
	g.skip(b)
}
