package redislog

import (
	"context"
	"errors"
	"iter"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub"
)

const (
	// beat is how long a follower waits for Redis to have something, and patience
	// how long for an answer.
	beat     = time.Second
	patience = 3 * beat
)

// Follow implements [hub.Log].
func (l *Log) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	return func(yield func(hub.Entry, error) bool) {
		f := follower{log: l, yield: func(e hub.Entry) bool { return yield(e, nil) }}
		err := f.begin(ctx, after)
		for err == nil {
			err = f.next(ctx)
		}
		if !f.stopped {
			yield(hub.Entry{}, err)
		}
	}
}

// A follower is one call of Follow. It reads with plain XREAD as long as each entry
// names the one before: then nothing is missing between them, and the epoch is the
// same. If one does not, and when nothing comes, and whenever a connection is new,
// it looks at the state of the stream.
type follower struct {
	log     *Log
	epoch   string
	at      position // up to which everything was yielded
	yield   func(hub.Entry) bool
	stopped bool // yield wants no more

	dials   uint64                          // how many there were when it has looked
	reading <-chan answer[[]redis.XMessage] // what is after at
}

// errStopped means that yield wants no more.
var errStopped = errors.New("stopped")

func (f *follower) emit(e hub.Entry) error {
	if !f.yield(e) {
		f.stopped = true
		return errStopped
	}
	return nil
}

func (f *follower) begin(ctx context.Context, after string) (err error) {
	if after != "" {
		if f.epoch, f.at, err = parseID(after); err != nil {
			return err
		}
		return f.look(ctx)
	}
	f.dials = f.log.dials.Load()
	s, err := f.log.read(ctx, position{}, 0)
	if err != nil {
		return err
	}
	f.epoch, f.at = s.epoch, s.last
	f.read(ctx)
	return f.emit(hub.Entry{ID: newID(f.epoch, f.at)})
}

// read begins to read what is after at.
func (f *follower) read(ctx context.Context) {
	args := redis.XReadArgs{Streams: []string{f.log.stream, f.at.String()}, Block: beat}
	f.reading = start(ctx, f.log, func(ctx context.Context) (messages []redis.XMessage, err error) {
		ctx, cancel := context.WithTimeout(ctx, patience) // for go-redis adds 10 s to the time that it blocks
		defer cancel()
		a := f.log.batch.begin(mostEntries)
		args.Count = int64(a.n)
		streams, err := f.log.client.XRead(ctx, &args).Result()
		if err == nil && len(streams) > 0 {
			messages = streams[0].Messages
		}
		a.end(messages, err)
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return messages, err
	})
}

// next yields what was read, or what look finds.
func (f *follower) next(ctx context.Context) error {
	messages, err := wait(ctx, f.log, "follow", f.reading)
	if err != nil {
		return err
	}
	records, err := decode(f.epoch, messages)
	if err != nil {
		return f.log.fail("follow", err)
	}
	before, n := newID(f.epoch, f.at), 0
	for n < len(records) && records[n].after == before {
		before = records[n].ID
		n++
	}
	if n == 0 || f.dials != f.log.dials.Load() {
		return f.look(ctx)
	}
	f.reach(records[n-1])
	f.read(ctx) // meanwhile
	for i := range records[:n] {
		if err := f.emit(records[i].Entry); err != nil {
			return err
		}
	}
	return nil
}

// reach moves to an entry, all up to which is about to be yielded.
func (f *follower) reach(r record) {
	f.at = r.at
	f.log.know(f.epoch, f.at)
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	f.log.tail = r.Entry
}

// look yields what is after at by the state of the stream, and a gap in front if
// something is missing there. If there is nothing it says that Redis answers.
func (f *follower) look(ctx context.Context) error {
	f.dials = f.log.dials.Load()
	s, err := f.state(ctx)
	if err != nil {
		return err
	}
	var entries []hub.Entry
	if f.epoch != s.epoch {
		f.renew(s)
		entries = []hub.Entry{{ID: newID(f.epoch, f.at), Gap: true}}
	} else {
		if gap, ok := s.gap(); ok {
			entries = []hub.Entry{gap}
			_, f.at, _ = parseID(gap.ID)
		}
		run := s.run()
		if len(run) > 0 {
			f.reach(s.records[len(run)-1])
		}
		entries = append(entries, run...)
	}
	f.read(ctx)
	if len(entries) == 0 {
		return f.emit(hub.Entry{})
	}
	for _, e := range entries {
		if err := f.emit(e); err != nil {
			return err
		}
	}
	return nil
}

// state reads the state. If it shows that the stream has lost its end, a new epoch
// has begun: what comes now may get IDs that others have had.
func (f *follower) state(ctx context.Context) (state, error) {
	s, err := f.log.read(ctx, f.at, mostEntries)
	if err != nil || s.epoch != f.epoch {
		return s, err
	}
	if front, known := s.front(); (!known || front.compare(f.at) >= 0) && !f.replaced(s.held) {
		return s, nil
	}
	_, err = ask(ctx, f.log, "follow", func(ctx context.Context) (any, error) {
		return nil, f.log.create(ctx, f.epoch, position{ms: math.MaxUint64}) // whatever the last one is by now
	})
	if err != nil {
		return state{}, err
	}
	s, err = f.log.read(ctx, f.at, mostEntries)
	if err == nil && s.epoch == f.epoch {
		err = f.log.fail("follow", errors.New("the server lacks what it, or another one, has had"))
	}
	return s, err
}

// replaced reports whether the entry that is held there is not the one that was
// yielded.
func (f *follower) replaced(held *record) bool {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return held != nil && held.ID == f.log.tail.ID && held.Entry != f.log.tail
}

// renew goes over to a new epoch, in front of what is new in it.
func (f *follower) renew(s state) {
	f.epoch = s.epoch
	if s.cut.compare(f.at) < 0 {
		f.at = s.cut
	} else if front, known := s.front(); known {
		f.at = front
	}
}
