package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/yieldsse/yieldsse/core"
)

// The guards of a plan are the options that stand around the stream: they replace the
// session's own comments, watch it, end it or refuse it.
type guards struct {
	Beat string // the event of WithHeartbeatEvent, see below

	Wrote     string // what the observer does, see below
	WroteFrom int    // the first write for which it does so

	Recheck recheck

	Expiry  string        // when a client's credential expires, see below
	Expires time.Duration // after that time, if soon

	Refused string // what the observer does

	ByQuery bool   // WithQueryID
	QueryID string // in the request's URL
}

// A recheck is who is asked whether a session may continue.
type recheck struct {
	Do    string
	Every time.Duration
	At    int // the first question to which it gives such an answer
	Err   int // of noes
}

// What only guards do.
const (
	comment = "comment" // the event is only a comment
	wide    = "wide"    // the event is too large to be copied for a client that does not read
	waits   = "waits"   // for the end of the session
	no      = "no"      // the session must not continue

	forever = "never"
	soon    = "soon"
	past    = "past"
)

// noes are errors of a recheck. They all end a response cleanly.
var noes = []error{
	errors.New("revoked"),
	core.ErrClientGone,
	core.ErrSlowClient,
	io.EOF,
	&core.RefusedError{Status: 403, Err: errors.New("too late to be refused")},
	fmt.Errorf("no database: %w", context.Canceled),
}

// What guards have seen.
type guarded struct {
	writes, events int
	bytes          int64
	writing        int // calls of Wrote that run
	wrote          int // that did not return
	thrown         []any
	questions      int
	asking         int // that have no answer yet
	answered       time.Time
	no             bool
	expiries       int
	expires        time.Time
	refused        []*core.RefusedError
}

// guard chooses the guards. They have their own random numbers, so the rest of the plan
// does not depend on them.
func (p *plan) guard(r *rand.Rand) {
	if r.IntN(6) == 0 {
		p.Beat = oneOf(r, good, good, good, comment, comment, wide, wide, bad)
	}
	if r.IntN(4) == 0 {
		p.Wrote, p.WroteFrom = oneOf(r, good, good, slow, reentrant, panics, goexits), oneOf(r, 0, 1, 2, 3, 5)
	}
	if r.IntN(8) == 0 {
		p.Recheck = recheck{
			Do:    oneOf(r, good, slow, waits, no, no, panics, goexits),
			Every: oneOf(r, time.Millisecond, time.Millisecond, 10*time.Millisecond, time.Hour),
			At:    oneOf(r, 0, 0, 1, 3),
			Err:   r.IntN(len(noes)),
		}
	}
	if r.IntN(12) == 0 {
		p.Expiry, p.Expires = oneOf(r, forever, forever, soon, soon, slow, past, panics), oneOf(r, time.Millisecond, 20*time.Millisecond)
	}
	if r.IntN(6) == 0 {
		p.Refused = oneOf(r, slow, reentrant)
	}
	if r.IntN(8) == 0 {
		p.ByQuery = r.IntN(4) > 0
		p.QueryID = oneOf(r, "aaaaaaaa-7", "nonsense", "ä 1&b=2%", "two\nlines", "\xff", "")
	}
	if p.narrow() && p.Beat == wide {
		p.Beat = good // otherwise it would take too long
	}
	if p.Expiry == panics && p.Client.Body == bodyStalls { // net/http itself waits for the body, whatever panics
		p.Expiry = none
	}
	if p.ServerTimeout > 0 && p.refusal() != 0 { // which applies to other answers, too
		p.Beat, p.Expiry = none, none
	}
	if r.IntN(100) == 0 {
		p.starve(r)
	}
}

// starve makes the client read nothing at all, and something else end the session, in the
// middle of a write.
func (p *plan) starve(r *rand.Rand) {
	p.Client = client{Method: "GET", Reads: readsNever, Gzip: p.Client.Gzip, Window: min(p.Client.Window, 65535)}
	p.HTTP10, p.Refuse, p.Opened, p.ServerTimeout, p.Deadline, p.Bound = false, "", "", 0, 0, 0
	p.WriteTimeout, p.MaxAge = oneOf(r, -1, time.Minute), 0
	p.guards = guards{Wrote: oneOf(r, none, good)}
	switch r.IntN(3) {
	case 0:
		p.MaxAge = 20 * time.Millisecond
	case 1:
		p.Expiry, p.Expires = soon, 20*time.Millisecond
	default:
		p.Recheck = recheck{Do: no, Every: 10 * time.Millisecond, At: 2}
	}
	p.Steps = []step{{Do: doYield, Event: core.Event{Data: "x"}}, {Do: doFlood}}
}

// hurry reports whether a guard is sure to end the session soon.
func (g *guards) hurry() bool {
	throws := func(do string) bool { return do == panics || do == goexits }
	return g.Expiry == soon || throws(g.Wrote) && g.WroteFrom == 0 ||
		0 < g.Recheck.Every && g.Recheck.Every < time.Second && (g.Recheck.Do == no || throws(g.Recheck.Do))
}

func (g *guards) String() string {
	var b strings.Builder
	if g.Beat != none {
		fmt.Fprintf(&b, " beat=%q", g.Beat)
	}
	if g.Wrote != none {
		fmt.Fprintf(&b, " wrote=%q from %d", g.Wrote, g.WroteFrom)
	}
	if q := g.Recheck; q.Do != none {
		fmt.Fprintf(&b, " recheck=%q every %v at %d with %q", q.Do, q.Every, q.At, noes[q.Err])
	}
	if g.Expiry != none {
		fmt.Fprintf(&b, " expiry=%q %v", g.Expiry, g.Expires)
	}
	if g.Refused != none {
		fmt.Fprintf(&b, " refused=%q", g.Refused)
	}
	if g.ByQuery || g.QueryID != "" {
		fmt.Fprintf(&b, " queryID=%q used %t", g.QueryID, g.ByQuery)
	}
	return b.String()
}

// refusal returns the status with which the request is sure to be refused, or 0. If the
// function for the expiry panics, there may be no answer at all.
func (p *plan) refusal() int {
	switch {
	case p.Beat == bad, p.Expiry == panics:
		return 500
	case p.Expiry == past:
		return 401
	case p.Refuse != "":
		return 503
	}
	return 0
}

// target is what the client requests.
func (p *plan) target() string {
	if p.QueryID == "" {
		return "/stream"
	}
	return "/stream?a=b&lastEventId=" + url.QueryEscape(p.QueryID)
}

// resumes returns the ID after which the stream resumes.
func (p *plan) resumes() string {
	valid := !strings.ContainsFunc(p.QueryID, unicode.IsControl) && string([]rune(p.QueryID)) == p.QueryID
	if p.LastEventID == "" && p.ByQuery && valid {
		return p.QueryID
	}
	return p.LastEventID
}

// beatEvent is the event of WithHeartbeatEvent. No other event of the plan is like it.
func (p *plan) beatEvent() core.Event {
	switch p.Beat {
	case comment:
		return core.Event{Comment: "still here"}
	case wide:
		return core.Event{Type: "beat", Data: strings.Repeat("0123456789\n", 450), Retry: 1500 * time.Millisecond}
	case bad:
		return core.Event{Type: "beat", ID: oneOf(rand.New(rand.NewPCG(p.Seed, 2)), "7", "a\nb")} //nolint:gosec // not a secret
	default:
		return core.Event{Type: "beat", Data: "{}"}
	}
}

// beat returns how the client sees it: as an event, or as the line of a comment.
func (p *plan) beat() (event []byte, silent string) {
	switch p.Beat {
	case none:
		return nil, ""
	case comment:
		return nil, ": still here\n"
	default:
		return encode(p.beatEvent()), ""
	}
}

func (r *trial) guardOptions() []core.Option {
	var opts []core.Option
	if r.Beat != none {
		opts = append(opts, core.WithHeartbeatEvent(r.beatEvent()))
	}
	if r.Recheck.Do != none {
		opts = append(opts, core.WithRecheck(r.Recheck.Every, r.ask))
	}
	if r.Expiry != none {
		opts = append(opts, core.WithExpiry(r.expiry))
	}
	if r.ByQuery {
		opts = append(opts, core.WithQueryID())
	}
	return opts
}

// wroteHook returns the observer's Wrote.
func (r *trial) wroteHook() func(context.Context, core.Write) {
	if r.Wrote == none {
		return nil
	}
	return func(_ context.Context, w core.Write) {
		n := r.countWrite(w)
		defer r.update(func() { r.guarded.writing-- })
		switch {
		case n < r.WroteFrom:
		case r.Wrote == panics, r.Wrote == goexits:
			r.update(func() { r.guarded.wrote++ })
			r.throw(r.Wrote, "wrote")
		case r.Wrote == reentrant:
			for range r.group.Members() {
				_ = r.group.Len()
			}
		case n < r.WroteFrom+8: // otherwise it would take too long
			r.hook(r.Wrote, "wrote")
		}
	}
}

// countWrite counts a write, and returns how many there were before.
func (r *trial) countWrite(w core.Write) (n int) {
	r.mu.Lock()
	g := &r.guarded
	n = g.writes
	g.writes++
	g.writing++
	g.bytes += int64(w.Bytes)
	g.events += w.Events
	overlap, between := g.writing > 1, r.opened == 1 && len(r.ended) == 0
	r.mu.Unlock()
	switch {
	case overlap:
		r.problemf("two calls of Wrote overlap")
	case !between:
		r.problemf("Wrote is called before Opened or after Closed")
	case w.Heartbeat && (n == 0 || w.Events > 0 || r.Heartbeat <= 0):
		r.problemf("write %d is a heartbeat: %+v", n, w)
	}
	return n
}

// throw panics, or ends the goroutine. The session must end soon.
func (r *trial) throw(how, value string) {
	r.owe("a panic of "+value, time.Now())
	if how == goexits {
		r.update(func() { r.guarded.thrown = append(r.guarded.thrown, nil) })
		runtime.Goexit()
	}
	r.update(func() { r.guarded.thrown = append(r.guarded.thrown, value) })
	panic(value)
}

// ask answers whether the session may continue.
func (r *trial) ask(ctx context.Context) error {
	q := r.Recheck
	n := r.countQuestion()
	defer r.update(func() { r.guarded.asking, r.guarded.answered = r.guarded.asking-1, time.Now() })
	final := q.Do == no || q.Do == panics || q.Do == goexits
	switch {
	case q.Do == waits:
		r.until(ctx.Done(), "the end of a session that is asked about", func() bool { return false })
		return context.Cause(ctx)
	case final && n > q.At:
		r.problemf("it is asked again whether the session may continue, after question %d was answered with %s", q.At, q.Do)
	case final && n < q.At:
	case q.Do == no:
		r.update(func() { r.guarded.no = true })
		r.owe("the answer no", time.Now())
		return noes[q.Err]
	case final:
		r.throw(q.Do, "recheck")
	default:
		r.hook(q.Do, "recheck")
	}
	return nil
}

func (r *trial) countQuestion() (n int) {
	r.mu.Lock()
	g := &r.guarded
	n = g.questions
	g.questions++
	g.asking++
	overlap, early := g.asking > 1, n > 0 && time.Since(g.answered) < r.Recheck.Every
	r.mu.Unlock()
	if overlap || early {
		r.problemf("it is asked too early whether the session may continue, for question %d", n)
	}
	return n
}

// expiry returns when the client's credential expires.
func (r *trial) expiry(context.Context) (at time.Time) {
	switch r.Expiry {
	case soon:
		at = time.Now().Add(r.Expires)
	case past:
		at = time.Now().Add(-time.Second)
	}
	r.update(func() { r.guarded.expires = at; r.guarded.expiries++ })
	r.hook(r.Expiry, "expiry")
	return at
}

// tellRefused is the observer's Refused.
func (r *trial) tellRefused(ctx context.Context, err *core.RefusedError) {
	if ctx.Err() == nil {
		r.problemf("the context has not ended when the observer's Refused is called")
	}
	r.update(func() { r.guarded.refused = append(r.guarded.refused, err) })
	r.hook(r.Refused, "refused")
}

// checkRefused checks what the observer is told of a request that is refused.
func (r *trial) checkRefused(wrong func(string, ...any)) {
	told := r.guarded.refused
	by := r.status == 503 || r.status == 401 || r.status == 413 || r.status == 408 || r.status == 500 && r.Beat == bad
	switch {
	case len(told) > 1, len(told) == 1 && r.opened > 0:
		wrong("the observer has been told of %d refusals and %d sessions: %v", len(told), r.opened, told)
	case len(told) == 1 && r.status != 0 && r.status != told[0].Status:
		wrong("the observer has been told of a refusal with %v, but the status is %d", told[0], r.status)
	case len(told) == 0 && by:
		wrong("the status is %d, but the observer has not been told", r.status)
	case r.guarded.expiries > 1:
		wrong("it was asked %d times when the session expires", r.guarded.expiries)
	}
}

// checkWrites checks that the writes that the observer was told of are all that there were.
func (r *trial) checkWrites(wrong func(string, ...any)) {
	g, end := &r.guarded, r.ended[0]
	if r.Wrote == none || r.Opened == panics {
		return
	}
	whole := end.Cause == nil && end.Err == nil
	if g.writes == 0 || g.bytes != end.Bytes || g.events > end.Events || whole && g.events != end.Events {
		wrong("the observer was told of %d writes with %d bytes and %d events, but the summary has %d bytes and %d events",
			g.writes, g.bytes, g.events, end.Bytes, end.Events)
	}
}

// saidNo reports whether cause is what a recheck has answered.
func (r *trial) saidNo(cause error) bool {
	return r.guarded.no && same(cause, noes[r.Recheck.Err])
}

// guardThrew reports whether err is the panic of a guard.
func (r *trial) guardThrew(err error) bool {
	var p *core.PanicError
	return errors.As(err, &p) && slices.Contains(r.guarded.thrown, p.Value)
}

// threwAtEnd reports whether the observer has panicked after the very last write, which has
// the end of a body that is compressed. The session has failed, but the client has
// everything.
func (r *trial) threwAtEnd() bool { return r.zips() && r.guarded.wrote == 1 }
