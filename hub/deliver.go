package hub

import (
	"io"
	"sync"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// forward gives the session the frames as they are.
func (s *subscription) forward(f feed.Feed) error {
	for {
		frames := batches.Get().(*[][]byte) //nolint:forcetypeassert // the pool's only type
		more, err := s.take(frames, batchSize)
		ok := f.Forward(*frames)
		clear(*frames) // they keep parts of the log alive
		*frames = (*frames)[:0]
		batches.Put(frames)
		if err != nil || !ok || !more && !s.sleep() {
			return ignoreEnd(err)
		}
	}
}

var batches = sync.Pool{New: func() any { return new([][]byte) }}

// decode yields events one at a time: the consumer may be slow, and in the meantime
// another event of a key may come.
func (s *subscription) decode(yield func(core.Event, error) bool) error {
	var (
		room [1][]byte
		e    core.Event
	)
	for {
		frames := room[:0]
		more, err := s.take(&frames, 1)     // or more, from a page of a Log
		if gap, ok := err.(*GapError); ok { //nolint:errorlint // the very one
			if !yield(core.Event{}, gap) {
				return nil
			}
			continue
		}
		if err != nil {
			return ignoreEnd(err)
		}
		for _, frame := range frames {
			if err := e.UnmarshalText(frame); err != nil {
				return err
			}
			if !yield(e, nil) {
				return nil
			}
		}
		room[0] = nil // it keeps a part of the log alive
		if !more && !s.sleep() {
			return nil
		}
	}
}

// sleep waits until there may be something to do, and reports whether the context
// is still alive.
func (s *subscription) sleep() bool {
	<-s.bell()
	return s.ctx.Err() == nil
}

// ignoreEnd returns err, or nil if it is io.EOF, the clean end of the stream.
func ignoreEnd(err error) error {
	if err == io.EOF { //nolint:errorlint // the very one
		return nil
	}
	return err
}
