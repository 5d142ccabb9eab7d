package host

import (
	"slices"
)

// pieceSize is how many bytes of frames that come together are sent at once, not
// counting the last one. A host pays for each Send: net/http makes three write calls of
// a chunk. And it bounds what a client that does not read costs its session: a larger
// event is sent in pieces, and stays where it is shared.
const pieceSize = 128 << 10

// forward sends the frames of a [feed.Feed].
func (s *Session) forward(frames [][]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		return false
	}
	for len(frames) > 0 {
		n, left := takePiece(s.buffer(), frames)
		frames = frames[n:]
		for len(left) > 0 { // of a large event, which is sent to its end
			if !s.push(s.now(), true) {
				return false
			}
			left = addPiece(s.buffer(), left)
		}
		if n == 0 && !s.flush(s.now()) || n > 0 && !s.gathered(n) || s.ctx.Err() != nil {
			return false
		}
	}
	return true
}

// takePiece appends frames to b until there are pieceSize bytes, and sets to nil
// those that it has copied. It returns how many. A frame that is larger than a piece
// goes into an empty buffer only; what is left of it follows in pieces.
func takePiece(b *[]byte, frames [][]byte) (n int, left []byte) {
	size := len(*b) - headroom
	for n < len(frames) && size < pieceSize && (len(frames[n]) <= pieceSize || size == 0) {
		size += len(frames[n])
		n++
	}
	*b = slices.Grow(*b, min(size, 2*pieceSize)+len("\r\n")) // for a chunk
	for i, frame := range frames[:n] {
		frames[i] = nil
		if len(frame) > pieceSize {
			return n, addPiece(b, frame)
		}
		*b = append(*b, frame...)
	}
	return n, nil
}

// addPiece appends a piece of a frame to an empty buffer, and returns the rest.
func addPiece(b *[]byte, frame []byte) (left []byte) {
	n := min(len(frame), pieceSize)
	*b = append(*b, frame[:n]...)
	return frame[n:]
}
