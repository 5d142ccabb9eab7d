package host

import (
	"slices"

	"github.com/yieldsse/yieldsse/internal/deflate"
)

// pieceSize is how many bytes of frames that come together are sent at once, not counting
// the last frame. Each Send has a cost: net/http makes three write calls for a chunk. The
// size also bounds what a client that does not read costs its session: a larger event is
// sent in pieces, one at a time.
const pieceSize = 128 << 10

// forward sends the frames of a [feed.Feed].
func (s *Session) forward(frames [][]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		return false
	}
	for len(frames) > 0 {
		b := s.buffer()
		s.gzip.compress(b)
		n, left := takePiece(b, frames, s.gzip.blocks(), nil)
		s.gzip.skip(b)
		frames = frames[n:]
		for len(left) > 0 { // of a large event, all of which is sent
			if !s.push(s.now(), partOfEvent) {
				return false
			}
			b = s.buffer()
			left = addPiece(b, left, nil)
			s.gzip.skip(b)
		}
		if n == 0 && !s.flush(s.now()) || n > 0 && !s.gathered(n) || s.ctx.Err() != nil {
			return false
		}
	}
	return true
}

// takePiece appends frames to b until it has pieceSize bytes, sets those that it has
// copied to nil, and returns their number. A frame that is larger than a piece is only
// appended to an empty buffer; the rest of it is left, for addPiece. If there is a sum, the
// frames are blocks, and are added to it. If parts is not nil, what b is made of is appended
// to it.
func takePiece(b *[]byte, frames [][]byte, sum *deflate.Sum, parts *[][]byte) (n int, left []byte) {
	size := len(*b) - headroom
	for n < len(frames) && size < pieceSize && (len(frames[n]) <= pieceSize || size == 0) {
		size += len(frames[n])
		n++
	}
	*b = slices.Grow(*b, min(size, 2*pieceSize)+len("\r\n")) // the end of a chunk
	for i, frame := range frames[:n] {
		frames[i] = nil
		if sum != nil {
			frame = sum.AddBlock(frame)
		}
		if len(frame) > pieceSize {
			return n, addPiece(b, frame, parts)
		}
		*b = append(*b, frame...)
		if parts != nil {
			*parts = append(*parts, frame)
		}
	}
	return n, nil
}

// addPiece appends a piece of a frame to an empty buffer, and returns the rest. parts is as for
// takePiece.
func addPiece(b *[]byte, frame []byte, parts *[][]byte) (left []byte) {
	n := min(len(frame), pieceSize)
	*b = append(*b, frame[:n]...)
	if parts != nil {
		*parts = append(*parts, frame[:n])
	}
	return frame[n:]
}
