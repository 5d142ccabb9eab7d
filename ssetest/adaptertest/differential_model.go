package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// judge compares what has happened with what may happen.
//
// The program decides how its session may end: mostly in one way, and in two if two
// things race. The observer has learned which it was, so the rest is exact again: what the
// client has seen, what yield has returned, and the cause of the context's end.
func (r *trial) judge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	wrong := func(format string, args ...any) {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
	r.checkRefused(wrong)
	if !r.begun(wrong) {
		return
	}
	r.checkYields(wrong)
	r.checkWrites(wrong)
	end := r.ended[0]
	if !r.legal(end.Cause) {
		if errors.Is(end.Cause, core.ErrSlowClient) { // perhaps the machine is
			r.stalled = append(r.stalled, "the client reads, but a write has taken too long")
			return
		}
		wrong("the session ends with the cause %v, which the plan does not allow", end.Cause)
		return
	}
	r.checkFailure(end, wrong)
	r.checkBody(end, wrong)
}

// begun checks how the response begins, and reports whether there is a stream.
func (r *trial) begun(wrong func(string, ...any)) bool {
	switch {
	case r.status == 0 && r.end == broken && !r.left && !(r.quick() && !r.stalls()) && !r.mayReset() && r.Expiry != panics &&
		!(r.Protocol.overtakes() && r.opened > 0) && !(r.hurriedAtEnd() && r.opened == 0):
		wrong("got no response: %v", r.how)
	case r.refusal() != 0:
		r.checkRefusal(wrong)
		return false
	case !r.answers(r.status):
		wrong("the status is %d", r.status)
	case r.Client.Method == http.MethodHead:
		if r.opened+r.runs > 0 {
			wrong("HEAD has begun a stream")
		}
		return false
	}
	if r.status == 200 && !r.http2() && !strings.HasPrefix(r.header.Get("Content-Type"), "text/event-stream") {
		wrong("the Content-Type is %q", r.header.Get("Content-Type"))
	}
	if r.status == 200 && !r.http2() {
		r.checkEncoding(wrong)
	}
	if r.opened == 0 {
		if r.status == 200 {
			wrong("there is a response, but the observer was not called")
		}
		return false
	}
	if r.opened != 1 || len(r.ended) != 1 || r.runs > 1 {
		wrong("there were %d sessions, %d ends and %d runs of the stream, want 1", r.opened, len(r.ended), r.runs)
		return false
	}
	return true
}

// answers reports whether a request that the plan does not refuse may be answered with
// status.
func (r *trial) answers(status int) bool {
	unread := !r.Client.ViewRead && !r.multiplexed()
	hurries := 0 < r.Deadline && r.Deadline < time.Second
	switch status {
	case 0:
		return !r.stalls() || r.end == gone
	case 200:
		return !r.stalls()
	case 408:
		return r.stalls() || hurries && r.Client.Body != bodyNone && !r.multiplexed()
	case 401: // it has expired since it began
		return r.Expiry == soon && r.opened == 0
	case 400: // the client has left in the middle of its body
		return r.Client.Body != bodyNone && unread && r.left && r.opened == 0
	case 413:
		return r.Client.Body == bodyLong && unread
	case 503: // a shutdown comes before the stream begins, if the publisher is quick
		return r.Source != generator && r.has(doShutdown, doShutdownInside, doShutdownServer) && r.opened == 0
	}
	return false
}

// checkRefusal checks the answer to a request that is refused.
func (r *trial) checkRefusal(wrong func(string, ...any)) {
	want, after := r.refusal(), r.header.Get("Retry-After")
	if r.status != want && r.end != gone && r.status != 0 || r.status == 503 && after == "" && !r.http2() {
		wrong("the status is %d with Retry-After %q, want %d", r.status, after, want)
	}
	if r.opened+r.runs > 0 || r.viewed != nil {
		wrong("a session that was refused has begun")
	}
}

// quick reports whether a session may end before it has begun.
func (r *trial) quick() bool {
	return r.MaxAge > 0 && r.MaxAge < time.Second || r.WriteTimeout > 0 && r.WriteTimeout < time.Second || r.Expiry == soon
}

// checkYields checks what yield has returned.
func (r *trial) checkYields(wrong func(string, ...any)) {
	over := false
	for _, e := range r.trace {
		switch {
		case r.Source != generator:
		case e.ok && over:
			wrong("step %d: yield returns true again", e.step)
		case e.ok && e.before != nil:
			wrong("step %d: yield returns true after the end of the context (%v)", e.step, e.before)
		case e.ok && (e.bad || e.err != nil):
			wrong("step %d: yield returns true for a failure", e.step)
		case !e.ok && e.after == nil && !r.throws(e):
			wrong("step %d: yield returns false, but the context has not ended", e.step)
		}
		over = over || !e.ok
	}
}

// throws reports whether e is a panic or a Goexit.
func (r *trial) throws(e element) bool {
	do := r.Steps[e.step].Do
	return do == doPanic || do == doGoexit
}

// legal reports whether a session of the plan may end for cause.
func (r *trial) legal(cause error) bool {
	switch {
	case cause == nil, r.saidNo(cause):
		return true
	case errors.Is(cause, core.ErrExpired):
		return r.Expiry == soon
	case errors.Is(cause, core.ErrShutdown):
		return r.has(doShutdown, doShutdownInside, doShutdownServer)
	case errors.Is(cause, core.ErrMaxDuration):
		return 0 < r.MaxAge && r.MaxAge < time.Minute
	case errors.Is(cause, core.ErrClientGone):
		return r.left
	case same(cause, context.DeadlineExceeded):
		return 0 < r.Deadline && r.Deadline < time.Minute
	case errors.Is(cause, core.ErrSlowClient):
		return r.maySlow()
	}
	return false
}

// maySlow reports whether a write may last too long. After the end of a session its
// writes have a second, which is short on a busy machine if they wait for the client.
func (r *trial) maySlow() bool {
	return 0 < r.WriteTimeout && r.WriteTimeout < time.Second ||
		r.size() > 64<<10 || r.has(doFlood) || r.narrow() || r.Client.Reads != readsAll
}

// failure returns the program's first failure before the end of its context.
func (r *trial) failure() (e element, ok bool) {
	for _, e := range r.trace {
		if e.before == nil && (e.bad || e.err != nil || r.throws(e)) && !e.ok {
			return e, r.Source == generator
		}
	}
	return e, false
}

// checkFailure checks what the summary says about the program.
func (r *trial) checkFailure(end core.Summary, wrong func(string, ...any)) {
	if r.guarded.wrote > 0 && end.Err == nil {
		wrong("the observer has panicked in Wrote, but the summary has no error")
	}
	switch {
	case end.Cause != nil:
		r.checkLate(end, wrong)
	case end.Err != nil:
		r.checkError(end.Err, wrong)
	default:
		failed, fails := r.failure()
		switch {
		case fails:
			wrong("the program fails in step %d, but the summary has no error", failed.step)
		case r.Source == generator && !r.endAlive:
			wrong("the session has no cause and no error, but the generator has not come to its end")
		case r.Source != generator && r.kicked < 0:
			wrong("the session has no cause and no error, but its hub has not ended it")
		}
	}
	want := 0
	for _, e := range r.trace {
		if e.ok {
			want++
		}
	}
	interrupted := end.Cause != nil || r.Wrote == goexits && r.guarded.wrote > 0
	if r.Source == generator && end.Events != want && !(end.Events == want+1 && interrupted) {
		wrong("the summary has %d events, but yield has taken %d", end.Events, want)
	}
}

// checkError checks the error of a session that nothing else has ended.
func (r *trial) checkError(err error, wrong func(string, ...any)) {
	var p *core.PanicError
	panicked := errors.As(err, &p)
	failed, fails := r.failure()
	switch {
	case r.guardThrew(err):
		fails = false
	case r.Opened == panics:
		if !panicked || p.Value != "opened" || r.runs > 0 {
			wrong("an observer has panicked, and the session ends with %v after %d runs", err, r.runs)
		}
	case r.gapFails():
		if r.GapEvent == panics && (!panicked || p.Value != "gap event") ||
			r.GapEvent == bad && !strings.Contains(err.Error(), "gap event") {
			wrong("the error is %v, want the gap event's", err)
		}
	case !fails:
		wrong("the error is %v, but nothing fails", err)
	case r.throws(failed):
		if want := r.value(); !panicked || p.Value != want {
			wrong("step %d: the error is %v (%T), want a panic with %v", failed.step, err, err, want)
		}
	case failed.bad:
		if panicked || !strings.Contains(err.Error(), "core: event") {
			wrong("step %d: the error is %v, want one that says what is wrong with the event", failed.step, err)
		}
	case !same(err, failed.err):
		wrong("step %d: the error is %v, want %v", failed.step, err, failed.err)
	}
	if fails && !r.throws(failed) && !same(failed.after, err) {
		wrong("step %d: the context's cause is %v, want the failure %v", failed.step, failed.after, err)
	}
	r.checkErrorEvent(err, wrong)
}

// checkErrorEvent checks which error the error event's function got.
func (r *trial) checkErrorEvent(err error, wrong func(string, ...any)) {
	unasked := r.left || r.maySlow() || r.threwAtEnd() || r.Wrote == goexits && r.guarded.wrote > 0 // the client may have gone
	if r.ErrorEvent == none || len(r.failed) == 0 && unasked {
		return
	}
	if len(r.failed) != 1 || !same(r.failed[0], err) {
		wrong("the error event's function got %v, want %v", r.failed, err)
	}
}

// gapFails reports whether the hub has no gap event, and may need one.
func (r *trial) gapFails() bool {
	return r.Source != generator && (r.GapEvent == bad || r.GapEvent == panics) && (r.resumes() != "" || r.Bound > 0)
}

// same reports whether a is b itself, and does not wrap it.
func same(a, b error) bool { return a == b } //nolint:errorlint // see above

func (r *trial) value() any {
	if r.exited || len(r.thrown) == 0 {
		return nil
	}
	return r.thrown[0]
}

// checkLate checks the error of a session that has ended for another cause. It can only
// be a later failure of the program.
func (r *trial) checkLate(end core.Summary, wrong func(string, ...any)) {
	var p *core.PanicError
	switch {
	case end.Err == nil, r.guardThrew(end.Err):
	case errors.As(end.Err, &p):
		if len(r.thrown) == 0 && !r.exited && !(r.GapEvent == panics && p.Value == "gap event") &&
			!(r.Opened == panics && p.Value == "opened") {
			wrong("the error is %v, but nothing panics", end.Err)
		}
	default:
		is := func(e element) bool {
			return same(e.err, end.Err) || e.bad && strings.Contains(end.Err.Error(), "core: event")
		}
		if !slices.ContainsFunc(r.trace, is) && r.GapEvent != bad {
			wrong("the error is %v, but nothing has yielded it", end.Err)
		}
	}
}

var (
	retryAtEnd  = regexp.MustCompile(`^retry: ([1-4][0-9]{3}|5000)\n$`)
	retryInside = regexp.MustCompile(`(?m)^retry: ([1-4][0-9]{3}|5000)\n`)
)

// An ending is how a response must end.
type ending struct {
	kind string
	tail []byte // after the events
	any  bool   // any other end is right, too
}

// ending returns the ending that follows from the session's end.
func (r *trial) ending(end core.Summary) ending {
	// net/http resets a client of HTTP/1.0 that sends more than it should.
	want := ending{kind: clean, any: r.Closed == panics || r.HTTP10 && r.Client.wordy() || r.threwAtEnd()}
	if end.Err != nil && r.ErrorEvent != none && r.ErrorEvent != bad && r.ErrorEvent != panics {
		want.tail = encode(hookEvent(r.ErrorEvent))
	}
	abandoned := errors.Is(end.Cause, core.ErrClientGone) || errors.Is(end.Cause, core.ErrSlowClient)
	if abandoned && r.saidNo(end.Cause) { // which is not the same, but looks like it
		abandoned = false
		want.any = want.any || r.left || r.maySlow()
	}
	switch {
	case abandoned:
		want.kind, want.tail = broken, nil
	case end.Err == nil:
	case end.Cause == nil:
		if want.tail == nil {
			want.kind = broken
		}
		// A Goexit and this panic reach the host, which may break the response.
		want.any = want.any || r.exited || r.value() == any(http.ErrAbortHandler) || r.Wrote == goexits && r.guarded.wrote > 0
	case len(r.guarded.thrown) > 0, len(r.thrown) > 0 || r.exited || r.Opened == panics || r.GapEvent == panics:
		want.any = true // a panic after the end
	default:
		want.tail = nil // an error after the end is only in the summary
	}
	return want
}

// checkBody checks what the client has seen.
func (r *trial) checkBody(end core.Summary, wrong func(string, ...any)) {
	got := r.strip.all()
	body, rest, told := r.expected(got)
	if told != "" {
		wrong("%s", told)
		return
	}
	want := r.ending(end)
	switch {
	case r.strip.odd != "":
		wrong("the client has %s", r.strip.odd)
	case !r.opensRightly() && (r.strip.begun() || r.whole(end, want)):
		wrong("the stream begins with a comment: %t, want %t", r.strip.opened, r.opens())
	}
	r.checkDecoded(end, want, wrong)
	switch {
	case want.any, r.end == gone, r.end == want.kind:
	case r.end == clean && errors.Is(end.Cause, core.ErrSlowClient) && r.cameToEnd(got, body):
		// The very end took too long, but arrived.
	case want.kind == clean && r.hurriedAtEnd():
	case want.kind == clean && r.mayReset():
	case want.kind == clean && r.left: // it closed its half, which was noticed after the end
	case want.kind == clean && r.maySlow() && (end.Cause != nil || end.Err != nil): // it did not take the end
	default:
		wrong("the response ends %s (%v), want it %s", r.end, r.how, want.kind)
	}
	all := append(bytes.Clone(body), want.tail...)
	switch {
	case !r.whole(end, want):
		if r.Source == generator && !r.isStart(got, all, append(bytes.Clone(body), rest...), end) {
			wrong("the client has %s, want a start of %s", short(got), short(all))
		}
		return // for a hub, expected has checked it
	case errors.Is(end.Cause, core.ErrShutdown):
		if !bytes.HasPrefix(got, body) || !retryAtEnd.Match(got[len(body):]) {
			wrong("the client has %s, want %s and a reconnection time", short(got), short(body))
		}
	case !bytes.Equal(got, all):
		wrong("the client has %s, want %s", short(got), short(all))
	}
	if r.end == clean && r.bytes != end.Bytes {
		wrong("the client has %d bytes, but the summary %d", r.bytes, end.Bytes)
	}
}

// opens reports whether the stream begins with a comment: for a client that waits for it,
// or to test a middleware.
func (r *trial) opens() bool {
	return r.Client.Method == http.MethodGet && r.Heartbeat > 0 || r.Wrapped
}

// opensRightly reports whether the stream begins as it should. An event in place of the
// comment may also be a heartbeat.
func (r *trial) opensRightly() bool {
	replaced := r.Beat != none && r.Heartbeat > 0
	return r.strip.opened == r.opens() || r.strip.opened && replaced
}

// mayReset reports whether the host may reset a connection with unread input: net/http
// does so when it shuts down, and on HTTP/2 if the client keeps sending for more than a
// second.
func (r *trial) mayReset() bool {
	wordy := r.Client.wordy() && !r.leavesHandler() || r.http2() && errors.Is(r.how, syscall.ECONNRESET)
	return wordy && r.has(doShutdownServer) && !r.mount.HoldsAnswers
}

// cameToEnd reports whether the program has come to its end, and the client has all of it.
func (r *trial) cameToEnd(got, body []byte) bool {
	if r.Source == generator {
		return r.endAlive && bytes.Equal(got, body)
	}
	return r.kicked >= 0
}

// whole reports whether the client must have everything.
func (r *trial) whole(end core.Summary, want ending) bool {
	switch {
	case want.any || r.left || r.end != want.kind:
		return false
	case want.kind == clean:
		return true
	default: // after a failure a client of HTTP/1.0 or HTTP/3 loses what it has not read with the reset
		return end.Cause == nil && !r.HTTP10 && !r.Protocol.overtakes() && !r.Client.wordy() && !r.maySlow()
	}
}

// isStart reports whether got is a beginning of what may come.
func (r *trial) isStart(got, all, tried []byte, end core.Summary) bool {
	if errors.Is(end.Cause, core.ErrShutdown) && r.guarded.wrote > 0 && lateTail(got, all) {
		return true
	}
	if errors.Is(end.Cause, core.ErrShutdown) && bytes.HasPrefix(got, all) {
		return bytes.HasPrefix(got[len(all):], []byte("r")) || len(got) == len(all) // its reconnection time
	}
	return bytes.HasPrefix(all, got) || bytes.HasPrefix(tried, got)
}

// lateTail reports whether got is a beginning of all with a reconnection time in the middle: the
// observer may panic when it is told of that, and then an error event follows.
func lateTail(got, all []byte) bool {
	return slices.ContainsFunc(retryInside.FindAllIndex(got, -1), func(at []int) bool {
		return bytes.HasPrefix(all, got[:at[0]]) && bytes.HasPrefix(all[at[0]:], got[at[1]:])
	})
}

// short shows the beginning and the end of a long text.
func short(b []byte) string {
	if len(b) < 400 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q ... %q (%d bytes)", b[:200], b[len(b)-150:], len(b))
}
