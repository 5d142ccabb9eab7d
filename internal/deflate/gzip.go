// Package deflate compresses event streams in the form of gzip (RFC 1952): what is appended
// at once can be decoded as soon as it is there, and a stream that is broken off has no
// trailer. There are two ways to compress. A [Context] remembers what came before, and
// belongs to one stream. A [Block] stands for itself, so the same one may be part of many
// streams. A stream may have both, if it begins with a new Context after each Block.
package deflate

import (
	"encoding/binary"
	"hash/crc32"
)

// Header is how a stream begins.
const Header = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// A Sum is what the trailer of a stream says of it. The zero Sum is that of an empty stream.
type Sum struct{ crc, size uint32 }

// Add adds text.
func (s *Sum) Add(text []byte) {
	s.crc = crc32.Update(s.crc, crc32.IEEETable, text)
	s.size += uint32(len(text)) //nolint:gosec // modulo 2³², as gzip has it
}

// AddBlock adds a block, and returns the part of it that belongs in the stream.
func (s *Sum) AddBlock(b Block) []byte {
	b, of := b[:len(b)-sizeOfSum], b[len(b)-sizeOfSum:]
	// The remainder of one text after another, as in zlib's crc32_combine.
	s.crc = times(binary.LittleEndian.Uint32(of[8:]), s.crc) ^ binary.LittleEndian.Uint32(of)
	s.size += binary.LittleEndian.Uint32(of[4:])
	return b
}

// AppendTrailer appends the end of the stream.
func (s *Sum) AppendTrailer(dst []byte) []byte {
	dst = append(dst, 3, 0) // an empty block, the last
	dst = binary.LittleEndian.AppendUint32(dst, s.crc)
	return binary.LittleEndian.AppendUint32(dst, s.size)
}

// times multiplies two polynomials modulo that of the CRC. Their highest bit is x⁰.
func times(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 != 0 {
			product ^= b
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}

// shift returns x to the power of 8n. A remainder times that is the remainder of the same
// text with n zero bytes after it.
func shift(n int) uint32 {
	power, square := uint32(1)<<31, uint32(1)<<23 // x⁰ and x⁸
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power = times(square, power)
		}
		square = times(square, square)
	}
	return power
}
