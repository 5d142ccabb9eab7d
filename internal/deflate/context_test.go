package deflate

import (
	"strconv"
	"strings"
	"testing"
)

// A stream keeps little, however much it has sent: in whatever pieces it comes.
func TestContextIsSmall(t *testing.T) {
	for _, size := range []int{1, 100, remembered - 1, remembered, remembered + 1, 100_000} {
		var c Context
		for i := range 100 {
			_ = c.Append(nil, []byte(strconv.Itoa(i)+strings.Repeat("x", size)))
			if got, most := cap(c.last), 3*remembered/2; got > most {
				t.Fatalf("after %d events of %d bytes: a context keeps %d bytes, want at most %d", i+1, size, got, most)
			}
		}
	}
}
