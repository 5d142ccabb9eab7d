package deflate

import (
	"encoding/binary"
	"hash/crc32"
)

// A Block is a compressed text, followed by what a [Sum] must know of it. It is a slice of
// bytes so that it can be passed on like the text itself.
type Block = []byte

const sizeOfSum = 12

// NewBlock compresses text.
func NewBlock(text []byte) Block { return appendSum(compress(nil, nil, text), text) }

// NewBlock compresses text with what c remembers. In a stream, the block must come right after
// that of c's text before.
func (c *Context) NewBlock(text []byte) Block { return appendSum(c.Append(nil, text), text) }

// appendSum makes a block of a compressed text. It allocates no more than that takes, because
// it may be kept for long.
func appendSum(compressed, text []byte) Block {
	b := append(make(Block, 0, len(compressed)+sizeOfSum), compressed...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(text))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text))) //nolint:gosec // modulo 2³², as gzip has it
	return binary.LittleEndian.AppendUint32(b, shift(len(text)))
}
