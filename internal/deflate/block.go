package deflate

import (
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// A Block is a compressed text, followed by what a [Sum] must know of it. It is a slice of
// bytes so that it can be passed on like the text itself.
type Block = []byte

const sizeOfSum = 12

// NewBlock compresses text.
func NewBlock(text []byte) Block {
	w := compressors.Get().(*compressor) //nolint:forcetypeassert // the pool's only type
	defer compressors.Put(w)
	w.to = w.to[:0]
	w.Reset(&w.buffer)
	_, _ = w.Writer.Write(text) // into memory
	_ = w.Flush()
	if most := sizeStored(len(text)); len(w.to) > most {
		w.to = appendStored(w.to[:0], text)
	}
	b := appendSum(append(make(Block, 0, len(w.to)+sizeOfSum), w.to...), text)
	if cap(w.to) > mostKept {
		w.to = nil
	}
	return b
}

// NewBlock compresses text with what c remembers. In a stream, the block must come right after
// that of c's text before.
func (c *Context) NewBlock(text []byte) Block {
	return appendSum(c.Append(make(Block, 0, len(text)/2+sizeOfSum), text), text) //nolint:mnd // about what most need
}

// appendSum makes a block of a compressed text.
func appendSum(b Block, text []byte) Block {
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(text))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text))) //nolint:gosec // modulo 2³², as gzip has it
	return binary.LittleEndian.AppendUint32(b, shift(len(text)))
}

// A compressor takes 800 KiB, so all blocks share a few.
type compressor struct {
	*flate.Writer
	buffer
}

var compressors = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.DefaultCompression) // it has no error
	return &compressor{Writer: w}
}}

// mostKept is the size of the largest buffer that a compressor keeps.
const mostKept = 256 << 10

type buffer struct{ to []byte }

func (b *buffer) Write(p []byte) (int, error) {
	b.to = append(b.to, p...)
	return len(p), nil
}
