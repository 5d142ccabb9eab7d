package host

import (
	"bytes"
	"testing"
)

// Wherever a client stops accepting a chunk, the remainder is the rest of it, and shares the
// events with other sessions.
func TestRemainder(t *testing.T) {
	for name, parts := range map[string][][]byte{
		"one":     {[]byte("data: 1\n\n")},
		"several": {[]byte("data: 1\n\n"), []byte("\n"), bytes.Repeat([]byte("x"), 100), []byte("id: 3\n\n")},
		"own":     nil,
	} {
		p := bytes.Repeat([]byte{0}, headroom)
		for _, part := range parts {
			p = append(p, part...)
		}
		if parts == nil {
			p = append(p, ": heartbeat\n\n"...)
		}
		chunk := Frames{p}.Chunk()
		for n := range len(chunk) + 1 {
			rest := remainder(chunk[n:], parts)
			if got := bytes.Join(rest, nil); !bytes.Equal(got, chunk[n:]) {
				t.Fatalf("%s: after %d bytes: got %q, want %q", name, n, got, chunk[n:])
			}
			for i, p := range rest {
				if len(p) == 0 {
					t.Errorf("%s: after %d bytes: part %d is empty", name, n, i)
				}
				shared := false
				for _, part := range append([][]byte{crlf}, parts...) {
					shared = shared || &part[len(part)-1] == &p[len(p)-1]
				}
				if !shared && len(p) > headroom && parts != nil {
					t.Errorf("%s: after %d bytes: %q is a copy", name, n, p)
				}
			}
			for taken := range len(chunk) - n + 1 {
				parts := remainder(chunk[n:], parts)
				if got := bytes.Join(from(parts, taken), nil); !bytes.Equal(got, chunk[n+taken:]) {
					t.Fatalf("%s: after %d and %d bytes: got %q, want %q", name, n, taken, got, chunk[n+taken:])
				}
			}
		}
	}
}
