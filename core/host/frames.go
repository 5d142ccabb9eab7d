package host

import (
	"strconv"
	"sync"
)

// headroom is the number of bytes in front of the frames in a buffer: room for the size
// of a chunk, with CRLF.
const headroom = 10

// LastChunk ends a response that is sent in chunks.
const LastChunk = "0\r\n\r\n"

// Frames is the argument of [Conn.Send]: whole frames, or a part of a large one. Only a
// session makes Frames, and at most its first is empty. They are valid until Send
// returns.
type Frames struct {
	p []byte // with headroom in front of the frames
}

// Bytes returns the frames. The caller may append to them, but must not change them in
// any other way.
func (f Frames) Bytes() []byte {
	if len(f.p) <= headroom {
		return nil
	}
	return f.p[headroom:]
}

// Chunk returns the frames as one chunk of HTTP/1.1 (RFC 9112, section 7.1), for hosts
// that write chunks themselves. It avoids copies, so do not call Bytes after it. The
// result is never the last chunk: empty frames have none, and Chunk returns nil.
func (f Frames) Chunk() []byte {
	if len(f.p) <= headroom {
		return nil // a chunk of size 0 would end the response
	}
	var room [headroom]byte
	size := append(strconv.AppendInt(room[:0], int64(len(f.p)-headroom), 16), "\r\n"...)
	begin := headroom - len(size)
	copy(f.p[begin:], size)
	return append(f.p, "\r\n"...)[begin:]
}

// A session holds one of these buffers only while frames wait in it.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, headroom, 1<<10)
	return &b
}}

func getBuffer() *[]byte { return buffers.Get().(*[]byte) } //nolint:forcetypeassert // the pool's only type

func putBuffer(b *[]byte) {
	if cap(*b) <= 2*pieceSize {
		*b = (*b)[:headroom]
		buffers.Put(b)
	}
}
