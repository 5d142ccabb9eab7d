package host

import (
	"bytes"
	"testing"
)

// Wherever a client stops accepting a chunk, the remainder is the rest of it. It refers to large
// events, and not to small ones.
func TestRemainder(t *testing.T) {
	small, large := []byte("data: 1\n\n"), bytes.Repeat([]byte("data: large\n"), shareFrom/10)
	for name, parts := range map[string][][]byte{
		"own":           nil,
		"small":         {small},
		"large":         {large},
		"small, large":  {small, small, large},
		"large, small":  {large, small, small},
		"several large": {small, large, large, small, large, small},
	} {
		p := bytes.Repeat([]byte{0}, headroom)
		for _, part := range parts {
			p = append(p, part...)
		}
		if parts == nil {
			p = append(p, ": heartbeat\n\n"...)
		}
		chunk := Frames{p}.Chunk()
		for n := 0; n <= len(chunk); n += 1 + n%7 {
			rest := remainder(chunk[n:], parts)
			if got := bytes.Join(rest, nil); !bytes.Equal(got, chunk[n:]) {
				t.Fatalf("%s: after %d bytes: got %q, want %q", name, n, got, chunk[n:])
			}
			for i, p := range rest {
				isLarge := &p[len(p)-1] == &large[len(large)-1]
				if !isLarge && cap(p) > 2*(len(small)+headroom)+64 || &p[len(p)-1] == &small[len(small)-1] {
					t.Errorf("%s: after %d bytes: part %d has %d bytes in memory of %d", name, n, i, len(p), cap(p))
				}
			}
			taken := len(chunk[n:]) * 2 / 3
			if got := bytes.Join(from(rest, taken), nil); !bytes.Equal(got, chunk[n+taken:]) {
				t.Fatalf("%s: after %d and %d bytes: got %q, want %q", name, n, taken, got, chunk[n+taken:])
			}
		}
	}
}
