package redislog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub"
)

const (
	// beat is how long a follower waits for new entries, and patience is how long it waits
	// for an answer.
	beat     = time.Second
	patience = 3 * beat

	// A follower remembers about fewSeen entries, and up to mostSeen while an append that began
	// before them is under way.
	fewSeen, mostSeen = 2048, 1 << 16

	// mostOwed is how many entries a log remembers until a follower has seen them.
	mostOwed = 4096
)

// Follow implements [hub.Log].
func (l *Log) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	return func(yield func(hub.Entry, error) bool) {
		f := &follower{log: l, yield: func(e hub.Entry) bool { return yield(e, nil) }}
		err := f.begin(ctx, after)
		for err == nil {
			err = f.next(ctx)
		}
		l.mu.Lock()
		l.memory = f.memory
		l.mu.Unlock()
		if f.stopped {
			return
		}
		if ctx.Err() == nil {
			l.renew() // whatever the error is, the log may be elsewhere now
		}
		yield(hub.Entry{}, err)
	}
}

// A follower is one call of Follow. It reads with plain XREAD as long as each entry
// contains the ID of the one before: then nothing is missing between them, and the epoch is
// the same. If one does not, and whenever a connection is new or a beat is over, it looks
// at the state of the stream.
//
// An answer of Redis does not prove that this server has the log: after a failover,
// connections to the old primary may stay open. So a follower compares what comes with what
// this process has added. If it has passed such an entry without seeing it, reads and appends
// went to different servers, and all connections are made again.
type follower struct {
	memory

	log     *Log
	yield   func(hub.Entry) bool
	stopped bool // yield has returned false

	looked  time.Time                       // when it has last looked
	dials   uint64                          // Log.dials at that time
	reading <-chan answer[[]redis.XMessage] // the entries after at
}

// A memory is what a follower has yielded. The next one that continues there inherits it.
type memory struct {
	epoch string
	at    position // everything up to it was yielded
	from  position // seen has everything after it
	seen  []place  // the newest entries that were yielded
	old   int      // how many of them are from before the log's present age
}

// errStopped means that yield has returned false.
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
		f.from = f.at
		f.inherit()
		if err := f.resolve(ctx); err != nil {
			return err
		}
		return f.look(ctx)
	}
	f.dials, f.looked = f.log.dials.Load(), time.Now()
	owed := f.log.owes()
	s, err := f.log.read(ctx, position{}, 0)
	if err != nil {
		return err
	}
	f.epoch = s.epoch
	f.leap(s.last)
	f.log.settle(owed, func(place) bool { return true })
	f.log.dispel()
	f.read(ctx)
	return f.emit(hub.Entry{ID: newID(f.epoch, f.at)})
}

// read starts to read what is after at.
func (f *follower) read(ctx context.Context) {
	args := redis.XReadArgs{Streams: []string{f.log.stream, f.at.String()}, Block: beat}
	f.reading = start(ctx, f.log, func(ctx context.Context, client redis.UniversalClient) (messages []redis.XMessage, err error) {
		ctx, cancel := context.WithTimeout(ctx, patience) // because go-redis adds 10 s to Block
		defer cancel()
		a := f.log.batch.begin(mostEntries)
		args.Count = int64(a.n)
		streams, err := client.XRead(ctx, &args).Result()
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
	if n == 0 || f.dials != f.log.dials.Load() || time.Since(f.looked) > beat {
		return f.look(ctx)
	}
	if err := f.reach(records[:n]); err != nil {
		return err
	}
	f.read(ctx) // while the consumer is busy
	for i := range records[:n] {
		if err := f.emit(records[i].Entry); err != nil {
			return err
		}
	}
	return nil
}

// inherit continues with the memory of a follower that has ended there.
func (f *follower) inherit() {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	if m := f.log.memory; m.epoch == f.epoch && m.at == f.at {
		f.memory = m
		f.seen = slices.Clone(m.seen)
	}
}

// reach moves over entries that are about to be yielded. If something that this process has
// added is missing among them and those before, it returns an error and does not move.
func (f *follower) reach(records []record) error {
	l, before := f.log, f.memory
	for i := range records {
		f.at = records[i].at
		f.seen = append(f.seen, placeOf(f.epoch, f.at, records[i].Entry))
	}
	l.know(f.epoch, f.at) // before forget
	if due, missed := f.check(); missed {
		f.memory = before
		return f.disown(due)
	}
	if len(records) > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tail = records[len(records)-1].Entry
		f.forget()
	}
	return nil
}

// check returns the first entry that the follower should have seen, if it has not. Those that
// it has seen are not owed any more.
func (f *follower) check() (due place, missed bool) {
	l := f.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.owed {
		if f.missed(p) && (!missed || p.compare(due.position) < 0) {
			due, missed = p, true
		}
	}
	if !missed {
		l.owed = slices.DeleteFunc(l.owed, func(p place) bool { return p.epoch == f.epoch && p.compare(f.at) <= 0 })
	}
	return due, missed
}

// forget drops entries from before all appends that are under way. What these add comes later
// in the stream, or begins a new epoch. The log's mu is held.
func (f *follower) forget() {
	l := f.log
	n := 0
	switch {
	case len(f.seen) >= mostSeen:
		n = len(f.seen) / 2 //nolint:mnd // a half
	case len(f.seen)-f.old >= fewSeen/2 && l.appending[1-l.age&1] == 0:
		n = f.old
		f.old = len(f.seen)
		l.age++
	}
	if n > 0 {
		f.from = f.seen[n-1].position
		f.seen = append(f.seen[:0], f.seen[n:]...)
		f.old = max(f.old-n, 0)
	}
}

// leap moves to a position, whatever is before it.
func (f *follower) leap(to position) {
	f.at, f.from, f.seen, f.old = to, to, nil, 0
}

// missed reports whether the follower should have seen an entry, but has not.
func (f *follower) missed(due place) bool {
	if due.epoch != f.epoch || due.compare(f.from) <= 0 || due.compare(f.at) > 0 {
		return false
	}
	i, found := slices.BinarySearchFunc(f.seen, due.position, func(p place, q position) int { return p.compare(q) })
	return !found || f.seen[i] != due && due.mark != 0
}

// disown gives up the connections, because what this process has added is not where
// the follower looks for it.
func (f *follower) disown(due place) error {
	l := f.log
	l.mu.Lock()
	l.doubt = due
	l.mu.Unlock()
	return l.fail("follow", fmt.Errorf("the server does not have %s, which this process has added: "+
		"connecting again, because the log may have moved to another server", newID(due.epoch, due.position)))
}

// resolve checks whether a missed entry is there after all, now that all connections
// are new, and has not been passed. If not, all clients are told.
func (f *follower) resolve(ctx context.Context) error {
	l := f.log
	l.mu.Lock()
	due := l.doubt
	l.mu.Unlock()
	if due == (place{}) {
		return nil
	}
	s, err := l.read(ctx, due.position, 1)
	if err != nil {
		return err
	}
	passed := due.epoch == f.epoch && due.compare(f.at) <= 0 // without it
	if s.epoch == f.epoch && (passed || !s.had(due)) {
		if err := f.renounce(ctx); err != nil {
			return err
		}
	}
	l.dispel()
	return nil
}

// had reports whether the stream has an entry at the position that was asked for, or had it
// before it was trimmed.
func (s *state) had(due place) bool {
	if due.epoch != s.epoch && due.compare(s.cut) > 0 { // it is not from before the epoch
		return false
	}
	if s.held != nil {
		return due.mark == 0 || placeOf(due.epoch, s.held.at, s.held.Entry) == due
	}
	front, known := s.front()
	trimmed := known && front.compare(due.position) >= 0 || !known && s.first.compare(due.position) > 0
	return due.compare(s.last) <= 0 && trimmed
}

// renounce begins a new epoch of a stream that has lost entries.
func (f *follower) renounce(ctx context.Context) error {
	return f.tell(ctx, f.log.known()+" "+f.epoch+"-*")
}

// tell tells the server which events were seen. It begins a new epoch if it lacks one of them.
func (f *follower) tell(ctx context.Context, seen string) error {
	_, err := ask(ctx, f.log, "follow", func(ctx context.Context, client redis.UniversalClient) (any, error) {
		return nil, f.log.create(ctx, client, seen)
	})
	return err
}

// owes returns the entries that a follower must find.
func (l *Log) owes() []place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.owed)
}

// settle records which of these entries a follower need not find any more.
func (l *Log) settle(owed []place, settled func(place) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed = slices.DeleteFunc(l.owed, func(p place) bool { return settled(p) && slices.Contains(owed, p) })
}

// dispel ends a doubt.
func (l *Log) dispel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = place{}
}

// look yields what is after at by the state of the stream, and a gap first if
// something is missing there. If there is nothing it yields a zero Entry.
func (f *follower) look(ctx context.Context) error {
	f.dials, f.looked = f.log.dials.Load(), time.Now()
	owed := f.log.owes()
	s, err := f.state(ctx)
	if err != nil {
		return err
	}
	entries := make([]hub.Entry, 0, 1+len(s.records))
	if f.epoch != s.epoch {
		before := f.epoch
		f.renew(s)
		if slices.ContainsFunc(owed, func(p place) bool {
			return p.epoch != f.epoch && (p.epoch != before || p.compare(s.cut) > 0)
		}) {
			f.log.renew() // because these were added to another server
		}
		f.log.settle(owed, func(p place) bool { return p.epoch != f.epoch || p.compare(f.at) <= 0 })
		entries = append(entries, hub.Entry{ID: newID(f.epoch, f.at), Gap: true})
	} else if entries, err = f.goOn(ctx, s, owed, entries); err != nil {
		return err
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

// goOn moves to what the state of the same epoch has, and adds it to the entries.
func (f *follower) goOn(ctx context.Context, s state, owed []place, entries []hub.Entry) ([]hub.Entry, error) {
	before := f.memory
	if gap, ok := s.gap(); ok {
		entries = append(entries, gap)
		_, at, _ := parseID(gap.ID)
		f.leap(at)
		if len(s.records) > 0 {
			f.from = s.records[0].at.before()
		}
	}
	run := s.run()
	err := f.find(ctx, owed, s.last)
	if err == nil {
		err = f.reach(s.records[:len(run)])
	}
	if err != nil {
		f.memory = before
		return nil, err
	}
	return append(entries, run...), nil
}

// find returns an error if the stream, whose last position is given, lacks an entry that this
// process has added. It may have been added in the epoch before.
func (f *follower) find(ctx context.Context, owed []place, last position) error {
	for _, due := range owed {
		if due.epoch == f.epoch {
			if due.compare(last) > 0 {
				return f.disown(due)
			}
			continue
		}
		s, err := f.log.read(ctx, due.position, 1)
		if err != nil {
			return err
		}
		if s.epoch != f.epoch || !s.had(due) {
			return f.disown(due)
		}
		f.log.settle([]place{due}, func(place) bool { return true })
	}
	return nil
}

// state reads the state. If it shows that the stream has lost its end, it begins a new
// epoch, because new entries may get IDs that lost ones had.
func (f *follower) state(ctx context.Context) (state, error) {
	s, err := f.log.read(ctx, f.at, mostEntries)
	if err == nil && s.epoch != f.epoch {
		if err := f.tell(ctx, f.log.known()); err != nil {
			return state{}, err
		}
		s, err = f.log.read(ctx, f.at, mostEntries)
	}
	if err != nil || s.epoch != f.epoch {
		return s, err
	}
	if front, known := s.front(); (!known || front.compare(f.at) >= 0) && !f.replaced(s.held) {
		return s, nil
	}
	if err := f.renounce(ctx); err != nil {
		return state{}, err
	}
	s, err = f.log.read(ctx, f.at, mostEntries)
	if err == nil && s.epoch == f.epoch {
		err = f.log.fail("follow", errors.New("the server lacks entries that were in the stream before, and no new epoch could be begun"))
	}
	return s, err
}

// replaced reports whether the entry that is held there is not the one that was
// yielded.
func (f *follower) replaced(held *record) bool {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return held != nil && held.ID == f.log.tail.ID && !reflect.DeepEqual(held.Entry, f.log.tail)
}

// renew moves to a new epoch, before its first new entry.
func (f *follower) renew(s state) {
	f.epoch = s.epoch
	to := f.at
	if s.cut.compare(f.at) < 0 {
		to = s.cut
	} else if front, known := s.front(); known {
		to = front
	}
	f.leap(to)
}
