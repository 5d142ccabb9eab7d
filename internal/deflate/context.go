package deflate

import (
	"compress/flate"
	"runtime"
	"sync"
)

// remembered is how many bytes of what came before help to compress what comes next. More
// would make texts that resemble each other hardly smaller.
const remembered = 1 << 10

// A Context compresses texts one after the other, each with the last 1 KiB of those before.
// That is all that it keeps: a compressor takes 800 KiB, so all streams share a few. Before a
// text is compressed, a compressor is given what the Context remembers, and the result of that is
// dropped, because the decoder has that text already.
//
// The zero Context is ready to use. It must not be used by several goroutines at once.
type Context struct{ last []byte }

// Append compresses text and appends the result.
func (c *Context) Append(dst, text []byte) []byte {
	dst = compress(dst, c.last, text)
	text = text[max(len(text)-remembered, 0):]
	if over := len(c.last) + len(text) - remembered; over > 0 {
		c.last = c.last[:copy(c.last, c.last[over:])]
	}
	c.last = append(c.last, text...)
	return dst
}

// compress appends text in its compressed form. The decoder has before already.
func compress(dst, before, text []byte) []byte {
	turns <- struct{}{}
	defer func() { <-turns }()
	c := compressors.Get().(*compressor) //nolint:forcetypeassert // the pool's only type
	defer compressors.Put(c)
	c.Reset(&c.sink)
	if len(before) > 0 {
		c.drops = true
		c.add(before)
	}
	c.drops, c.to = false, dst
	c.add(text)
	dst, c.to = c.to, nil
	return dst
}

// turns bounds how many compressors there are at once. More than CPUs would be no faster.
var turns = make(chan struct{}, runtime.GOMAXPROCS(0))

// A compressor is a flate.Writer with what it writes to.
type compressor struct {
	*flate.Writer
	sink
}

// level is the lowest that compresses a text of less than 128 bytes with what came before, in
// all versions of Go: at the levels up to 6, Go 1.27 forgets that.
const level = 7

var compressors = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, level) // it has no error
	return &compressor{Writer: w}
}}

// add compresses text so that all of it can be decoded.
func (c *compressor) add(text []byte) {
	_, _ = c.Writer.Write(text) // into memory, so it has no error
	_ = c.Flush()
}

type sink struct {
	to    []byte
	drops bool
}

func (s *sink) Write(p []byte) (int, error) {
	if !s.drops {
		s.to = append(s.to, p...)
	}
	return len(p), nil
}
