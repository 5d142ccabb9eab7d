package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// readers is how many requests a hub makes to its Log at once for its subscriptions.
	readers = 4

	// pageMemory is about how many bytes of pages are kept for subscriptions that come right
	// after, and pageKept is how long.
	pageMemory = 4 << 20
	pageKept   = time.Second

	// answerTimeout is how long a Log may take to answer. Nothing else would end the
	// request: a shutdown waits for what is still to be read.
	answerTimeout = 5 * time.Second
)

// A reader reads a Log for all subscriptions of a hub. They often want the same, as
// when they all come back at once: all that wait for an answer share it, and a page
// also serves those that come right after.
type reader struct {
	log Log

	mu      sync.Mutex
	asked   map[question]*reading // the newest reading of each question that has no answer yet
	queue   []*reading            // not begun yet
	running int
	pages   []page // that are kept, newest last
	bytes   int    // of them
	expiry  *time.Timer
}

// A question is what comes after an ID, or what the last ID is.
type question struct {
	after string
	last  bool
}

// A reading is a call of the Log. Its context lasts as long as anybody waits for it.
type reading struct {
	question
	answer

	ctx     context.Context //nolint:containedctx // shared by all that wait
	cancel  context.CancelFunc
	waiting int
	begun   bool

	done chan struct{} // closed when there is an answer or an error
	err  error
}

type answer struct {
	entries []Entry
	id      string
}

// A page is the entries after an ID. There is at least one.
type page struct {
	after   string
	entries []Entry
	bytes   int
	since   time.Time
}

func newReader(log Log) *reader {
	return &reader{log: log, asked: make(map[question]*reading)}
}

// page returns the entries after an ID. The caller must not change them. If there are
// none, that was true at some time after the call began.
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

// last returns what the last ID was at some time after the call began.
func (r *reader) last(ctx context.Context) (string, error) {
	r.mu.Lock()
	q := r.join(question{last: true}, true)
	r.mu.Unlock()
	a, err := r.wait(ctx, q)
	return a.id, err
}

// find returns the kept entries after an ID, or nil. The reader is locked.
func (r *reader) find(after string) []Entry {
	for i := range r.pages {
		entries := r.pages[i].from(after)
		if entries == nil {
			continue
		}
		if _, err := r.log.Compare(entries[0].ID, entries[0].ID); err == nil { // otherwise the log has begun again
			return entries
		}
	}
	return nil
}

// from returns the page's entries after an ID, or nil.
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

// join returns the reading of a question, and starts one if there is none, or, if fresh,
// none that has yet to begin. The reader is locked.
func (r *reader) join(about question, fresh bool) *reading {
	q := r.asked[about]
	if q == nil || fresh && q.begun {
		q = &reading{question: about, done: make(chan struct{})}
		q.ctx, q.cancel = context.WithTimeout(context.Background(), answerTimeout)
		r.asked[about] = q
		r.queue = append(r.queue, q)
		if r.running < readers {
			r.start()
		}
	}
	q.waiting++
	return q
}

// wait waits for an answer. A reading that nobody waits for any more is cancelled.
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

// end keeps others from joining a reading, and ends its context.
func (r *reader) end(q *reading) {
	q.cancel()
	if r.asked[q.question] == q {
		delete(r.asked, q.question)
	}
}

// run asks the log until there are no questions left.
func (r *reader) run() {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if r.running--; len(r.queue) > 0 {
			r.start() // the log has ended the goroutine
		}
	}()
	for len(r.queue) > 0 {
		r.next()
	}
}

func (r *reader) start() {
	r.running++
	go r.run()
}

// next answers the next question.
func (r *reader) next() {
	q := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	q.begun = true
	defer close(q.done)
	defer r.end(q)
	if !q.last {
		q.entries = r.find(q.after) // it may have come in the meantime
	}
	if q.entries == nil {
		r.ask(q)
		r.keep(q)
	}
}

// ask asks the log. The reader is locked, but not meanwhile.
func (r *reader) ask(q *reading) {
	r.mu.Unlock()
	defer r.mu.Lock()
	q.err = errors.New("hub: the log's Last or Range called runtime.Goexit instead of returning")
	switch {
	case q.ctx.Err() != nil:
		q.err = fmt.Errorf("hub: the log was not asked, because it has not answered %d earlier requests: %w", readers, context.Cause(q.ctx))
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
		p.bytes += overhead + len(e.Topic) + len(e.Key) + len(e.Event.Type) + len(e.Event.Data) + len(e.Event.Comment) +
			newDetails(e.Attributes, e.Topic, e.Topics).size()
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
