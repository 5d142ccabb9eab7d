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
		clear(*frames) // for they hold parts of the log
		*frames = (*frames)[:0]
		batches.Put(frames)
		if err != nil || !ok || !more && !s.sleep() {
			return ignoreEnd(err)
		}
	}
}

var batches = sync.Pool{New: func() any { return new([][]byte) }}

// decode yields events, one at a time: the consumer may be slow, and another
// event of a key come meanwhile.
func (s *subscription) decode(yield func(core.Event, error) bool) error {
	var (
		room [1][]byte
		e    core.Event
	)
	for {
		frames := room[:0]
		more, err := s.take(&frames, 1) // or those of a Log's page
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
		room[0] = nil // for it is part of the log
		if !more && !s.sleep() {
			return nil
		}
	}
}

// sleep waits until there may be something to do, and reports whether the context
// has lasted.
func (s *subscription) sleep() bool {
	<-s.wake
	return s.ctx.Err() == nil
}

// ignoreEnd returns err, unless it says that the stream has come to its end.
func ignoreEnd(err error) error {
	if err == io.EOF { //nolint:errorlint // the very one
		return nil
	}
	return err
}
