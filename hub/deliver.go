package hub

import (
	"io"
	"math"
	"sync"

	"github.com/yieldsse/yieldsse/core"
)

// forward gives the session the frames as they are.
func (s *subscription) forward(feed core.Feed) error {
	for {
		frames := batches.Get().(*[][]byte) //nolint:forcetypeassert // the pool's only type
		more, err := s.take(frames, batchSize)
		ok := feed.Forward(*frames)
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
	r := reader{subscription: s, more: true}
	p := core.Parser{Comments: true, MaxEventSize: math.MaxInt}
	for e, err := range p.Read(&r) {
		if err != nil {
			return ignoreEnd(r.err)
		}
		if !yield(e, nil) {
			return nil
		}
	}
	return nil
}

// A reader reads a subscription's frames, and never beyond the end of one.
type reader struct {
	subscription *subscription
	room         [1][]byte
	frames       [][]byte // to be read; one, or those of a Log's page
	rest         []byte   // of the one that is being read
	more         bool
	err          error
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if len(r.frames) > 0 {
			r.rest, r.frames = r.frames[0], r.frames[1:]
			break
		}
		r.room[0], r.rest = nil, nil // for they are parts of the log
		if !r.more && !r.subscription.sleep() {
			return 0, io.EOF
		}
		r.frames = r.room[:0]
		if r.more, r.err = r.subscription.take(&r.frames, 1); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
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
