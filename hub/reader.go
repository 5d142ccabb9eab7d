package hub

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// readers is how many questions a hub asks its Log at once for its subscriptions.
	readers = 4

	// pageMemory is how many bytes of pages are kept for those who come right after,
	// about, and pageKept how long.
	pageMemory = 4 << 20
	pageKept   = time.Second

	// answerTimeout is how long a Log may take to answer. Nobody else would end it: a
	// shutdown waits for what is still to be read.
	answerTimeout = 5 * time.Second
)

// A reader reads a Log for all subscriptions of a hub. They often want the same, as
// when they all come back at once: one answer is for all who wait for it, and a page
// is for those as well who come right after.
type reader struct {
	log Log

	mu      sync.Mutex
	asked   map[question]*reading // the newest of each that has no answer yet
	queue   []*reading            // not begun yet
	running int
	pages   []page // that are kept, the newest last
	bytes   int    // of them
	expiry  *time.Timer
}

// A question is for what comes after an ID, or for the last ID.
type question struct {
	after string
	last  bool
}

// A reading is a call of the Log. Its context lasts as long as anybody waits.
type reading struct {
	question
	answer

	ctx     context.Context //nolint:containedctx // for all who wait
	cancel  context.CancelFunc
	waiting int
	begun   bool

	done chan struct{} // closed when the answer is there, or the error
	err  error
}

type answer struct {
	entries []Entry
	id      string
}

// A page is what comes after an ID, of which there is something.
type page struct {
	after   string
	entries []Entry
	bytes   int
	since   time.Time
}

func newReader(log Log) *reader {
	return &reader{log: log, asked: make(map[question]*reading)}
}

// page returns what comes after an ID, which must not be changed. That there is nothing
// is true of a time after the call.
func (r *reader) page(ctx context.Context, after string) ([]Entry, error) {
	r.mu.Lock()
	if entries := r.find(after); entries != nil {
		r.mu.Unlock()
		return entries, nil
	}
	q := r.join(question{after: after}, false)
	late := q.begun
	r.mu.Unlock()
	a, err := r.wait(ctx, q)
	if late && err == nil && len(a.entries) == 0 {
		r.mu.Lock()
		q = r.join(question{after: after}, true)
		r.mu.Unlock()
		a, err = r.wait(ctx, q)
	}
	return a.entries, err
}

// last returns the last ID, at a time after the call.
func (r *reader) last(ctx context.Context) (string, error) {
	r.mu.Lock()
	q := r.join(question{last: true}, true)
	r.mu.Unlock()
	a, err := r.wait(ctx, q)
	return a.id, err
}

// find returns what is kept of what comes after an ID, or nil. The reader is locked.
func (r *reader) find(after string) []Entry {
	for i := range r.pages {
		entries := r.pages[i].from(after)
		if entries == nil {
			continue
		}
		if _, err := r.log.Compare(entries[0].ID, entries[0].ID); err == nil { // or the log has begun anew
			return entries
		}
	}
	return nil
}

// from returns what comes after an ID, or nil.
func (p *page) from(after string) []Entry {
	if after == p.after {
		return p.entries
	}
	for i := range p.entries[:len(p.entries)-1] {
		if p.entries[i].ID == after {
			return p.entries[i+1:]
		}
	}
	return nil
}

// join waits for the answer to a question, which is asked if nobody else has done so,
// or if it is to be asked from now on. The reader is locked.
func (r *reader) join(about question, fresh bool) *reading {
	q := r.asked[about]
	if q == nil || fresh && q.begun {
		q = &reading{question: about, done: make(chan struct{})}
		q.ctx, q.cancel = context.WithTimeout(context.Background(), answerTimeout)
		r.asked[about] = q
		r.queue = append(r.queue, q)
		if r.running < readers {
			r.running++
			go r.run()
		}
	}
	q.waiting++
	return q
}

// wait waits for an answer. A reading that nobody waits for ends.
func (r *reader) wait(ctx context.Context, q *reading) (answer, error) {
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.waiting--; q.waiting == 0 {
		r.end(q)
	}
	return answer{}, context.Cause(ctx)
}

// end has nobody join a reading any more.
func (r *reader) end(q *reading) {
	q.cancel()
	if r.asked[q.question] == q {
		delete(r.asked, q.question)
	}
}

// run asks until there is no question left.
func (r *reader) run() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 {
		q := r.queue[0]
		r.queue[0] = nil
		r.queue = r.queue[1:]
		q.begun = true
		if !q.last {
			q.entries = r.find(q.after) // it may have come meanwhile
		}
		if q.entries == nil {
			r.mu.Unlock()
			r.ask(q)
			r.mu.Lock()
			r.keep(q)
		}
		r.end(q)
		close(q.done)
	}
	r.running--
}

func (r *reader) ask(q *reading) {
	switch {
	case q.ctx.Err() != nil:
		q.err = fmt.Errorf("hub: the log has not answered %d others: %w", readers, context.Cause(q.ctx))
	case q.last:
		q.id, q.err = r.log.Last(q.ctx)
	default:
		q.entries, q.err = r.log.Range(q.ctx, q.after, pageSize)
	}
}

// keep keeps a page for a while.
func (r *reader) keep(q *reading) {
	if len(q.entries) == 0 || q.err != nil {
		return
	}
	p := page{after: q.after, entries: q.entries, since: time.Now()}
	const overhead = 200
	for i := range p.entries {
		e := &p.entries[i]
		p.bytes += overhead + len(e.Topic) + len(e.Key) + len(e.Event.Type) + len(e.Event.Data) + len(e.Event.Comment)
	}
	r.pages = append(r.pages, p)
	r.bytes += p.bytes
	for r.bytes > pageMemory {
		r.drop()
	}
	r.expireLater()
}

func (r *reader) expireLater() {
	if r.expiry == nil && len(r.pages) > 0 {
		r.expiry = time.AfterFunc(time.Until(r.pages[0].since.Add(pageKept)), r.expire)
	}
}

func (r *reader) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.pages) > 0 && time.Since(r.pages[0].since) >= pageKept {
		r.drop()
	}
	r.expiry = nil
	r.expireLater()
}

// drop drops the oldest page.
func (r *reader) drop() {
	r.bytes -= r.pages[0].bytes
	r.pages[0] = page{}
	r.pages = r.pages[1:]
}
