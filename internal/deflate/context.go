package deflate

import "encoding/binary"

const (
	window    = 4 << 10
	tableBits = 11

	minMatch = 4
	maxMatch = 258
)

// A Context compresses texts one after the other, each with what it remembers of those
// before: at least the last 4 KiB. It takes 12 KiB. Those of compress/flate take 800 KiB and
// more, need 15 µs and more for a short text, and at their fastest level forget everything at
// each flush of less than 128 bytes. A Context uses the fixed codes of RFC 1951, section
// 3.2.6: they are the best for short texts, but not for those of a kilobyte.
//
// The zero Context is ready to use. It must not be used by several goroutines at once.
type Context struct {
	text  [2 * window]byte
	size  int                    // of what is in text
	begin uint16                 // the position of its first byte, in terms of table
	table [1 << tableBits]uint16 // where four bytes of that hash were last; old entries do no harm
}

// Reset makes c forget all texts.
func (c *Context) Reset() {
	c.size, c.begin = 0, 0
	clear(c.table[:])
}

// Append compresses text and appends the result.
func (c *Context) Append(dst, text []byte) []byte {
	begin := len(dst)
	w := bitWriter{to: dst}
	w.put(2, 3) // a block with fixed codes, not the last
	for rest := text; len(rest) > 0; {
		if c.size+len(rest) > len(c.text) && c.size > window {
			c.begin += uint16(c.size - window) //nolint:gosec // modulo 2¹⁶
			c.size = copy(c.text[:], c.text[c.size-window:c.size])
		}
		n := copy(c.text[c.size:], rest)
		c.encode(&w, n)
		rest = rest[n:]
	}
	w.put(0, 7) // its end
	w.put(0, 3) // an empty block that is stored
	if dst = append(w.align(), emptyStored...); len(dst)-begin > sizeStored(len(text)) {
		dst = appendStored(dst[:begin], text)
	}
	return dst
}

// encode encodes the n bytes of c.text that come next.
func (c *Context) encode(w *bitWriter, n int) {
	i := c.size
	c.size += n
	text := c.text[:c.size]
	for i < len(text) {
		distance := c.find(text, i)
		if distance == 0 {
			w.literal(text[i])
			i++
			continue
		}
		n, most := minMatch, min(maxMatch, len(text)-i)
		for n < most && text[i+n] == text[i+n-distance] {
			n++
		}
		w.match(n, distance)
		for j := 1; j < n; j++ {
			c.find(text, i+j)
		}
		i += n
	}
}

// find returns how far before i the same four bytes were last, or 0. It remembers i.
func (c *Context) find(text []byte, i int) (distance int) {
	if i+minMatch > len(text) {
		return 0
	}
	four := binary.LittleEndian.Uint32(text[i:])
	last := &c.table[four*0x9e3779b1>>(32-tableBits)]
	at := c.begin + uint16(i) //nolint:gosec // modulo 2¹⁶
	distance = int(at - *last)
	*last = at
	if distance > i || binary.LittleEndian.Uint32(text[i-distance:]) != four {
		return 0
	}
	return distance
}
