package core

import "strconv"

// Headroom is the number of bytes in front of the frames that [Conn.Send] is
// given. A chunk's size fits in, with its line end.
const Headroom = 10

// LastChunk ends a response that is sent in chunks.
const LastChunk = "0\r\n\r\n"

// Chunk makes a chunk of HTTP/1.1 (RFC 9112, section 7.1) of p[Headroom:], for a
// [Conn] whose host does not. Its size goes in front and its line end behind, so
// that it is one write, and without a copy if p has room for two bytes more.
func Chunk(p []byte) []byte {
	var line [Headroom]byte
	size := append(strconv.AppendInt(line[:0], int64(len(p)-Headroom), 16), "\r\n"...)
	begin := Headroom - len(size)
	copy(p[begin:], size)
	return append(p, "\r\n"...)[begin:]
}
