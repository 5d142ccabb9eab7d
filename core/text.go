package core

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Text is plain if it is ASCII without a character below 0x0E, so that there is
// nothing in it to split, refuse or replace. Adding toHigh to eight plain bytes sets
// the high bit of each without a carry.
const (
	firstPlain = 0x0E
	highBits   = 0x8080808080808080
	toHigh     = highBits - firstPlain*0x0101010101010101
)

// plain reports whether all of s is plain. It reads words; the last one may overlap the
// one before it. A high bit missing in low means that a character is too low, and a high
// bit set in high means that s is not ASCII.
func plain(s string) bool {
	n := len(s)
	switch {
	case n > 32:
		var low, high uint64 = highBits, 0
		for i := 0; i <= n-32 && low == highBits; i += 32 {
			t := s[i : i+32]
			w, x, y, z := word(t), word(t[8:]), word(t[16:]), word(t[24:])
			low &= (w + toHigh) & (x + toHigh) & (y + toHigh) & (z + toHigh)
			high |= w | x | y | z
		}
		t := s[n-32:]
		w, x, y, z := word(t), word(t[8:]), word(t[16:]), word(t[24:])
		low &= (w + toHigh) & (x + toHigh) & (y + toHigh) & (z + toHigh)
		high |= w | x | y | z
		return low&^high == highBits
	case n > 16:
		w, x, y, z := word(s), word(s[8:]), word(s[n-16:]), word(s[n-8:])
		low, high := (w+toHigh)&(x+toHigh)&(y+toHigh)&(z+toHigh), w|x|y|z
		return low&^high&highBits == highBits
	case n >= 8:
		w, x := word(s), word(s[n-8:])
		return (w+toHigh)&(x+toHigh)&^(w|x)&highBits == highBits
	case n >= 4:
		w := uint64(half(s)) | uint64(half(s[n-4:]))<<32
		return (w+toHigh)&^w&highBits == highBits
	default:
		return plainLen(s) == n
	}
}

// plainLen returns the length of the longest plain prefix of s.
func plainLen(s string) int {
	i := 0
	for ; i <= len(s)-8; i += 8 {
		w := word(s[i : i+8])
		if other := ^((w + toHigh) &^ w) & highBits; other != 0 {
			return i + bits.TrailingZeros64(other)/8
		}
	}
	for i < len(s) && firstPlain <= s[i] && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// word loads the first eight bytes of s, and half the first four. The compiler turns
// each into one instruction.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func half(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// appendLines appends each line of s as data, or as a comment. Lines end only at CRLF, CR
// and LF. What follows the last line end is also a line, even if it is empty, so that a
// trailing line end is preserved.
func appendLines(b []byte, comment bool, s string) []byte {
	for {
		b = appendName(b, comment)
		n := plainLen(s)
		b = append(b, s[:n]...)
		if n == len(s) {
			return append(b, '\n')
		}
		switch s[n] {
		case '\n':
		case '\r':
			if n+1 < len(s) && s[n+1] == '\n' {
				n++
			}
		default:
			return appendRest(b, comment, s[n:])
		}
		b = append(b, '\n')
		s = s[n+1:]
	}
}

func appendName(b []byte, comment bool) []byte {
	if comment {
		return append(b, ": "...)
	}
	return append(b, "data: "...)
}

// appendRest continues for appendLines in the middle of a line, with text that is not
// plain.
func appendRest(b []byte, comment bool, s string) []byte {
	s = validUTF8(s)
	hasCR := strings.IndexByte(s, '\r') >= 0
	for {
		end := strings.IndexByte(s, '\n')
		next := end + 1
		if hasCR {
			end, next = lineEnd(s)
		}
		if end < 0 {
			b = append(b, s...)
			return append(b, '\n')
		}
		b = append(b, s[:end]...)
		b = append(b, '\n')
		b = appendName(b, comment)
		s = s[next:]
	}
}

// lineEnd returns where the first line of s ends and where the next one begins,
// or -1 if s has no line end.
func lineEnd(s string) (end, next int) {
	for i := range len(s) {
		switch {
		case s[i] == '\n', s[i] == '\r' && (i+1 == len(s) || s[i+1] != '\n'):
			return i, i + 1
		case s[i] == '\r':
			return i, i + 2
		}
	}
	return -1, 0
}

// validUTF8 returns s with each maximal part of an invalid sequence replaced by one
// U+FFFD, like the UTF-8 decoder of the WHATWG Encoding standard (section 8.1.1) and so
// like a browser. [strings.ToValidUTF8] replaces a whole run by one.
func validUTF8(s string) string {
	if plain(s) || utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			n = invalidLen(s)
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// invalidLen returns the length of the maximal part of the invalid sequence that s begins
// with: the longest beginning of what could have been a character, or one byte.
func invalidLen(s string) int {
	const lowest, highest = 0x80, 0xBF // the range of a continuation byte
	lo, hi, need := byte(lowest), byte(highest), 0
	switch c := s[0]; {
	case 0xC2 <= c && c <= 0xDF:
		need = 1
	case 0xE0 <= c && c <= 0xEF:
		need = 2
		if c == 0xE0 {
			lo = 0xA0 // lower ones are overlong forms
		} else if c == 0xED {
			hi = 0x9F // higher ones are surrogates
		}
	case 0xF0 <= c && c <= 0xF4:
		need = 3
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F // higher ones are beyond U+10FFFF
		}
	}
	n := 1
	for n <= need && n < len(s) && lo <= s[n] && s[n] <= hi {
		lo, hi = lowest, highest
		n++
	}
	return n
}
