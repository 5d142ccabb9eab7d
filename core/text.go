package core

import (
	"strings"
	"unicode/utf8"
)

// plain reports whether s is ASCII text without a control character below 0x0E,
// so that it has nothing to split, to refuse or to replace.
func plain(s string) bool {
	control, wide := scan(s)
	return (control|wide)&highBits == 0
}

// The high bit of each byte of a word, and the lowest byte that is no concern.
const (
	highBits  = 0x8080808080808080
	firstText = 0x0E0E0E0E0E0E0E0E
)

// scan looks for what needs care. A high bit in wide means that s is not ASCII;
// if it is ASCII, a high bit in control means a character below 0x0E. It reads
// words, of which the last may overlap the one before.
func scan(s string) (control, wide uint64) {
	n := len(s)
	switch {
	case n == 0:
	case n < 4:
		w := uint64(s[0]) | uint64(s[n>>1])<<8 | uint64(s[n-1])<<16 | firstText&^0xFFFFFF
		return w - firstText, w
	case n < 8:
		w := uint64(half(s)) | uint64(half(s[n-4:]))<<32
		return w - firstText, w
	default:
		for i := 0; i+32 <= n; i += 32 {
			t := s[i : i+32]
			w, x, y, z := word(t), word(t[8:]), word(t[16:]), word(t[24:])
			control |= (w - firstText) | (x - firstText) | (y - firstText) | (z - firstText)
			wide |= w | x | y | z
		}
		for i := n &^ 31; i+8 <= n; i += 8 {
			w := word(s[i : i+8])
			control |= w - firstText
			wide |= w
		}
		w := word(s[n-8:])
		control |= w - firstText
		wide |= w
	}
	return control, wide
}

// word loads the first eight bytes of s, half the first four. The compiler makes
// each one instruction.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func half(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// appendLines appends each line of s behind a prefix. Lines end at CRLF, CR and
// LF and at nothing else; what follows the last of them is a line as well, so
// that a trailing line end survives.
func appendLines(b []byte, prefix, s string) []byte {
	control, wide := scan(s)
	if wide&highBits != 0 {
		s = validUTF8(s)
	} else if control&highBits == 0 {
		b = append(b, prefix...)
		b = append(b, s...)
		return append(b, '\n')
	}
	hasCR := strings.IndexByte(s, '\r') >= 0
	for {
		end := strings.IndexByte(s, '\n')
		next := end + 1
		if hasCR {
			end, next = lineEnd(s)
		}
		b = append(b, prefix...)
		if end < 0 {
			b = append(b, s...)
			return append(b, '\n')
		}
		b = append(b, s[:end]...)
		b = append(b, '\n')
		s = s[next:]
	}
}

// lineEnd returns where the first line of s ends and where the next one begins,
// or -1 if s holds no line end.
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

// validUTF8 returns s with each maximal part of an invalid sequence replaced by
// one U+FFFD. That is what the UTF-8 decoder of the WHATWG Encoding standard
// does (section 8.1.1), and so what a browser would show; [strings.ToValidUTF8]
// makes one of a whole run.
func validUTF8(s string) string {
	if _, wide := scan(s); wide&highBits == 0 || utf8.ValidString(s) {
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

// invalidLen returns how many bytes of s, which begins with an invalid
// sequence, are its maximal part: the longest start of what could have been a
// character, or one byte.
func invalidLen(s string) int {
	const lowest, highest = 0x80, 0xBF // the range of a continuation byte
	lo, hi, need := byte(lowest), byte(highest), 0
	switch c := s[0]; {
	case 0xC2 <= c && c <= 0xDF:
		need = 1
	case 0xE0 <= c && c <= 0xEF:
		need = 2
		if c == 0xE0 {
			lo = 0xA0 // below are overlong forms
		} else if c == 0xED {
			hi = 0x9F // above are surrogates
		}
	case 0xF0 <= c && c <= 0xF4:
		need = 3
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F // above is beyond U+10FFFF
		}
	}
	n := 1
	for n <= need && n < len(s) && lo <= s[n] && s[n] <= hi {
		lo, hi = lowest, highest
		n++
	}
	return n
}
