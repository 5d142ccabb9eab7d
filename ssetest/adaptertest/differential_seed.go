package adaptertest

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// newPlan makes the plan of a seed.
func newPlan(seed uint64, protocols []Protocol) *plan {
	r := rand.New(rand.NewPCG(seed, 13)) //nolint:gosec // not a secret
	p := &plan{
		Seed:         seed,
		Protocol:     protocols[r.IntN(len(protocols))],
		Detach:       r.IntN(2) == 0,
		Source:       oneOf(r, generator, generator, asIs, ranged),
		Heartbeat:    oneOf(r, -1, 0, time.Millisecond, 3*time.Millisecond, 10*time.Millisecond, time.Hour),
		FlushWindow:  oneOf(r, -1, 0, time.Millisecond, 5*time.Millisecond, 20*time.Millisecond, time.Hour),
		WriteTimeout: oneOf(r, -1, 0, time.Millisecond, 20*time.Millisecond, time.Minute, time.Minute, time.Minute, time.Minute),
		Stubborn:     r.IntN(3) == 0,
	}
	if r.IntN(4) == 0 { // two features, one in the middle of the other
		p.Heartbeat = oneOf(r, time.Millisecond, 3*time.Millisecond)
		p.FlushWindow = oneOf(r, 20*time.Millisecond, 20*time.Millisecond, time.Hour)
	}
	if p.Source == asIs && r.IntN(2) == 0 {
		p.Detach = true // otherwise no goroutine is saved
	}
	if r.IntN(6) == 0 {
		p.MaxAge = oneOf(r, time.Nanosecond, time.Millisecond, 10*time.Millisecond, time.Hour)
	}
	if r.IntN(4) == 0 {
		p.Retry = oneOf(r, 1, time.Second, 1500*time.Microsecond)
	}
	if r.IntN(2) == 0 {
		p.ErrorEvent = oneOf(r, good, good, bad, empty, slow, panics, reentrant)
	}
	if r.IntN(6) == 0 {
		p.Opened = oneOf(r, slow, panics, reentrant)
	}
	if r.IntN(6) == 0 {
		p.Closed = oneOf(r, slow, panics, reentrant)
	}
	if r.IntN(40) == 0 {
		p.Refuse = oneOf(r, "full", "closing")
	}
	if r.IntN(3) == 0 {
		p.Protocol = protocols[0] // most features are for this one
	}
	p.Client = newClient(r, p.Protocol)
	if p.Protocol == HTTP1 || p.Protocol == HTTP1TLS {
		p.HTTP10 = r.IntN(8) == 0
	}
	p.surround(r)
	if p.Source != generator {
		p.GapEvent = oneOf(r, good, good, good, good, bad, slow, panics)
		p.LastEventID = oneOf(r, "", "", "aaaaaaaa-7", "nonsense", "aaaaaaaa-99999999999999999999")
		p.Bound = oneOf(r, 0, 0, 0, 0, 1, 4)
	}
	most := 300 << 10
	if p.narrow() {
		most = 20 * p.Client.Window // otherwise it would take too long
	}
	for len(p.Steps) < 1+r.IntN(12) {
		if r.IntN(3) > 0 {
			p.Steps = append(p.Steps, newStep(r, p.Source, most))
			continue
		}
		for _, do := range oneOf(r, phrases...) {
			p.Steps = append(p.Steps, newStepOf(r, do, most))
		}
	}
	p.Compress, p.Client.Gzip = r.IntN(3) == 0, r.IntN(5) > 0
	if p.Client.Leaves != "" && p.Client.After < 0 {
		p.Steps = append(p.Steps, step{Do: doLeave}, step{Do: doAwait})
	}
	p.guard(rand.New(rand.NewPCG(seed, 14))) //nolint:gosec // not a secret
	return p
}

// surround chooses what is around the handler.
func (p *plan) surround(r *rand.Rand) {
	switch r.IntN(20) {
	case 0:
		p.Deadline = oneOf(r, time.Nanosecond, time.Millisecond, 10*time.Millisecond, time.Hour)
	case 1, 2:
		p.Wrapped = r.IntN(2) == 0
		// It also applies to other answers and to the TLS handshake, and with HTTP/2 it
		// begins before the handler.
		if p.Protocol == HTTP1 && p.Client.Method == http.MethodGet && !p.Client.wordy() && !p.Client.Pre && p.Refuse == "" {
			p.ServerTimeout = oneOf(r, time.Millisecond, 10*time.Millisecond, time.Hour)
		}
	}
}

// phrases are steps that are rarely together by chance.
var phrases = [][]string{
	{doYield, doYield, doSeen},
	{doYield, doYield, doBeat},
	{doBeat, doYield, doSeen},
	{doSeen, doBeat, doYield, doSeen, doYield, doYield, doSeen},
	{doYield, doYield, doBeat, doYield, doSeen},
	{doYield, doLeave, doAwait},
	{doYield, doLeave, doFlood},
	{doYield, doYield, doShutdown, doAwait},
	{doYield, doShutdownInside, doIgnore, doYield, doIgnore},
}

func newStepOf(r *rand.Rand, do string, most int) step {
	s := step{Do: do, D: oneOf(r, 0, time.Millisecond, 10*time.Millisecond)}
	if do == doYield {
		s.Event = goodEvent(r, most)
	}
	return s
}

func newClient(r *rand.Rand, protocol Protocol) client {
	c := client{Method: "GET", Reads: oneOf(r, readsAll, readsAll, readsAll, readsAll, readsSlowly, readsNone)}
	http2 := protocol == HTTP2 || protocol == H2C
	switch r.IntN(12) {
	case 0:
		c.Method = "HEAD"
	case 1, 2:
		c.Method = "POST"
		c.Body = oneOf(r, bodyWhole, bodyLate, bodyLate, bodyLong, bodyStalls)
		c.Chunked = r.IntN(2) == 0
		c.ViewRead = r.IntN(2) == 0
		if c.Body == bodyStalls {
			c.ViewRead = false // a view may wait for its body as long as it likes
			c.Cut = 1 + r.IntN(stallSize-1)
		}
	}
	if r.IntN(4) == 0 {
		c.Leaves = oneOf(r, leavesClose, leavesReset, leavesHalf)
		switch {
		case http2:
			c.Leaves = oneOf(r, leavesClose, leavesReset, leavesRST, leavesRST)
		case protocol == HTTP3:
			c.Leaves = oneOf(r, leavesClose, leavesRST)
		}
		c.After = oneOf(r, -1, -1, 0, 1, r.IntN(100), r.IntN(100_000))
	}
	if http2 {
		c.Window = oneOf(r, 1, 7, 100, 65535, 65535, 1<<20)
	}
	if http2 || protocol == HTTP3 {
		return c
	}
	switch r.IntN(10) {
	case 0:
		c.Junk = oneOf(r, 1, 20, 2000, 100_000)
	case 1:
		c.Pipeline = true
	case 2:
		c.Pre = true
	}
	if c.Body == bodyStalls {
		c.Junk, c.Pipeline = 0, false // they would be part of the body
	}
	return c
}

func newStep(r *rand.Rand, source string, most int) step {
	s := step{Err: r.IntN(len(failings)), D: oneOf(r, 0, time.Millisecond, 3*time.Millisecond, 10*time.Millisecond)}
	if r.IntN(2) == 0 {
		s.Err = 1 + r.IntN(4) // one of core's own
	}
	switch n := r.IntN(40); {
	case n < 14:
		s.Do, s.Event = doYield, goodEvent(r, most)
	case n < 17:
		s.Do = doSeen
	case n < 19:
		s.Do = doBeat
	case n < 21:
		s.Do = doWait
	case n < 22:
		s.Do = doIgnore
	case n < 25:
		s.Do = doAwait
	case n < 26:
		s.Do = doFlood
	case n < 28:
		s.Do = doLeave
	case n < 30:
		s.Do = oneOf(r, doShutdown, doShutdownInside, doShutdownServer)
	case n < 32:
		s.Do, s.Event = doBad, badEvent(r)
	case source != generator && n < 34:
		s.Do = oneOf(r, doKick, doShutdownHub)
	case source != generator:
		s.Do, s.Event = doYield, goodEvent(r, most)
	case n < 35:
		s.Do, s.Event = doError, goodEvent(r, 10)
	case n < 37:
		s.Do = doPanic
	case n < 38:
		s.Do = doGoexit
	default:
		s.Do, s.Event = doYield, goodEvent(r, most)
	}
	return s
}
