package host

import (
	"testing"
	"unsafe"
)

// A field more costs each of a million idle sessions the rest of the next size class of Go's
// allocator: 64 bytes for a Session, 16 for a detachedConn.
func TestSizes(t *testing.T) {
	if got := unsafe.Sizeof(Session{}); got > 448 {
		t.Errorf("a Session has %d bytes, want at most 448", got)
	}
	if got := unsafe.Sizeof(detachedConn{}); got > 192 {
		t.Errorf("a detachedConn has %d bytes, want at most 192", got)
	}
}
