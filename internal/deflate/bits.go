package deflate

import (
	"encoding/binary"
	"math/bits"
)

// A bitWriter appends bits, the lowest first.
type bitWriter struct {
	to   []byte
	held uint64
	n    int // how many bits are held; less than 32
}

func (w *bitWriter) put(value uint32, n int) {
	w.held |= uint64(value) << w.n
	if w.n += n; w.n >= 32 {
		w.to = binary.LittleEndian.AppendUint32(w.to, uint32(w.held)) //nolint:gosec // its lower half
		w.held >>= 32
		w.n -= 32
	}
}

// align fills the last byte with zeros, and returns all bytes.
func (w *bitWriter) align() []byte {
	for ; w.n > 0; w.n -= 8 {
		w.to = append(w.to, byte(w.held)) //nolint:gosec // the lowest eight
		w.held >>= 8
	}
	return w.to
}

func (w *bitWriter) literal(b byte) { w.symbol(int(b)) }

func (w *bitWriter) symbol(i int) { w.put(uint32(symbols[i].code), int(symbols[i].bits)) }

// match repeats the n bytes at that distance.
func (w *bitWriter) match(n, distance int) {
	l := lengths[n]
	w.symbol(int(l.symbol))
	w.put(uint32(n-int(l.base)), int(l.extra)) //nolint:gosec // at most 31

	// Each pair of codes has one more extra bit (RFC 1951, section 3.2.5).
	d := uint32(distance - 1) //nolint:gosec // at most 32 KiB
	extra := max(bits.Len32(d)-2, 0)
	code := uint32(2*extra) + d>>extra //nolint:gosec // at most 29
	w.put(bits.Reverse32(code)>>27, 5)
	w.put(d&(1<<extra-1), extra)
}

// symbols are the fixed codes of literals and lengths (RFC 1951, section 3.2.6), with their
// highest bit first.
var symbols = func() (all [288]struct {
	code uint16
	bits uint8
}) {
	for i := range all {
		code, n := 0x30+i, 8
		switch {
		case i >= 280:
			code = 0xc0 + i - 280
		case i >= 256:
			code, n = i-256, 7
		case i >= 144:
			code, n = 0x190+i-144, 9
		}
		all[i].code, all[i].bits = bits.Reverse16(uint16(code))>>(16-n), uint8(n)
	}
	return all
}()

// lengths are the symbols of the lengths of matches (RFC 1951, section 3.2.5).
var lengths = func() (all [maxMatch + 1]struct {
	symbol, base uint16
	extra        uint8
}) {
	n := 3
	for symbol := 257; n < maxMatch; symbol++ {
		extra, base := max((symbol-257)/4-1, 0), n
		for ; n < base+1<<extra && n < maxMatch; n++ {
			all[n].symbol, all[n].base, all[n].extra = uint16(symbol), uint16(base), uint8(extra)
		}
	}
	all[maxMatch].symbol, all[maxMatch].base = 285, maxMatch
	return all
}()

// emptyStored is an empty block that is stored, after its first three bits. It aligns the
// stream to a byte, and has a decoder pass on what came before it.
const emptyStored = "\x00\x00\xff\xff"

const maxStored = 1<<16 - 1

// sizeStored is how many bytes appendStored appends for a text of n bytes.
func sizeStored(n int) int { return n + 5*((n+maxStored-1)/maxStored+1) }

// appendStored appends text as it is.
func appendStored(dst, text []byte) []byte {
	for len(text) > 0 {
		n := min(len(text), maxStored)
		dst = append(dst, 0)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
		dst = binary.LittleEndian.AppendUint16(dst, ^uint16(n))
		dst, text = append(dst, text[:n]...), text[n:]
	}
	return append(append(dst, 0), emptyStored...)
}
