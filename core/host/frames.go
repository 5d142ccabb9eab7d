package host

import (
	"strconv"
	"sync"
)

// headroom is the number of bytes in front of the frames in a buffer. The size of
// a chunk fits in, with its line end.
const headroom = 10

// LastChunk ends a response that is sent in chunks.
const LastChunk = "0\r\n\r\n"

// Frames is what [Conn.Send] is given: whole frames, or a part of a large one. Only
// a session makes them, and at most the first is empty. They are borrowed until Send
// returns.
type Frames struct {
	p []byte // with headroom in front of the frames
}

// Bytes returns the frames. The caller may append to it, and must not change it
// otherwise.
func (f Frames) Bytes() []byte {
	if len(f.p) <= headroom {
		return nil
	}
	return f.p[headroom:]
}

// Chunk returns the frames as one chunk of HTTP/1.1 (RFC 9112, section 7.1), for a
// host that does not frame its responses by itself. It makes no copy where it can,
// and Bytes is not to be called after it. It is never the last chunk.
func (f Frames) Chunk() []byte {
	if len(f.p) <= headroom {
		return nil // of size 0, which would end the response
	}
	var line [headroom]byte
	size := append(strconv.AppendInt(line[:0], int64(len(f.p)-headroom), 16), "\r\n"...)
	begin := headroom - len(size)
	copy(f.p[begin:], size)
	return append(f.p, "\r\n"...)[begin:]
}

// buffers are held only while frames wait in them, so that an idle session has
// none.
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
