package hubtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A program is a sequence of steps for some hubs on one log and for their clients. It
// follows from its seed.
type program struct {
	seed  uint64
	hubs  []setting
	steps []step
}

// A setting is how a program's hub is configured.
type setting struct {
	maxEvents, maxBytes int  // 0 is no bound
	end                 bool // subscribers that were overtaken are ended
	page                int  // the most entries that a page of its log has; 0 is no limit
}

// A step is one action. Its numbers are taken modulo what there is, so a step means
// something whatever was done before, or left out.
type step struct {
	act     act
	a, b, c int
}

type act = int

// The acts. An act does nothing if the backend does not have what it needs.
const (
	doPublish     act = iota // at hub a, events, chosen by c
	doPublishMany            // at hub a, some dozens, while the program continues
	doPublishBad             // at hub a, something that must be refused
	doSubscribe              // at hub a, for names chosen by b, from a place and in a way chosen by c
	doComeBack               // client a leaves, and resumes at hub b, in a way chosen by c
	doLeave                  // client a, for good
	doStopReading            // client a
	doRead                   // client a reads again
	doKick                   // at hub a, a name chosen by b
	doRestart                // hub a is shut down, and another takes its place
	doSettle                 // ends all accidents and waits until all clients have everything
	doPause                  // for a ms, up to 50

	// The following need a log.
	doFailAppend // hub a's appends fail and do not reach the log
	doLoseAnswer // hub a's appends fail but do reach the log
	doFailRange  // hub a's pages fail
	doHangRange  // hub a's pages hang until it recovers
	doBreakOff   // hub a's Follow breaks off
	doHoldUp     // hub a's Follow waits until it recovers
	doRecover    // hub a's log works again

	doCut    // the connections of hub a
	doStall  // the network of hub a, in directions chosen by b
	doResume // the network of hub a

	doTrim   // the log, to a entries, fewer than 20
	doDelete // an entry of the log, chosen by a
	doKill   // the server
	doRevive // the server
	doEmpty  // the server loses everything

	acts
)

var actNames = [acts]string{
	"publish", "publish many", "publish what must be refused", "subscribe", "come back", "leave", "stop reading", "read",
	"kick", "restart", "settle", "pause",
	"fail appends", "lose answers", "fail pages", "hang pages", "break off", "hold up", "recover",
	"cut", "stall", "resume", "trim", "delete", "kill", "revive", "empty",
}

// often is how often an act is chosen when all may be.
var often = [acts]int{
	doPublish: 30, doPublishMany: 6, doPublishBad: 1, doSubscribe: 12, doComeBack: 12, doLeave: 2, doStopReading: 6, doRead: 6,
	doKick: 2, doRestart: 2, doSettle: 3, doPause: 6,
	doFailAppend: 2, doLoseAnswer: 2, doFailRange: 2, doHangRange: 2, doBreakOff: 3, doHoldUp: 4, doRecover: 8,
	doCut: 3, doStall: 2, doResume: 4, doTrim: 4, doDelete: 2, doKill: 1, doRevive: 3, doEmpty: 1,
}

// generate makes a seed's program.
func generate(seed uint64) program {
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be replayed
	p := program{seed: seed}
	for range 1 + rng.IntN(3) {
		s := setting{page: []int{0, 0, 1, 2, 5, 17}[rng.IntN(6)], end: rng.IntN(5) == 0}
		if rng.IntN(3) > 0 {
			s.maxEvents = 1 + rng.IntN(30)
		}
		if rng.IntN(3) == 0 {
			s.maxBytes = 100 + rng.IntN(4000)
		}
		p.hubs = append(p.hubs, s)
	}
	// Each program leaves out some acts, and so does more of the others.
	weights, sum := often, 0
	for a := range weights {
		if a > doSubscribe && rng.IntN(3) == 0 {
			weights[a] = 0
		}
		sum += weights[a]
	}
	for range 10 + rng.IntN(90) {
		n, a := rng.IntN(sum), 0
		for n >= weights[a] {
			n -= weights[a]
			a++
		}
		const most = 1 << 16
		p.steps = append(p.steps, step{a, rng.IntN(most), rng.IntN(most), rng.IntN(most)})
	}
	return p
}

func (p program) String() string {
	var text strings.Builder
	for i, s := range p.hubs {
		fmt.Fprintf(&text, "hub %d: %+v\n", i, s)
	}
	for _, s := range p.steps {
		fmt.Fprintf(&text, "%s %d %d %d\n", actNames[s.act], s.a, s.b, s.c)
	}
	return text.String()
}

// without returns the program without some of its steps.
func (p program) without(from, to int) program {
	steps := append([]step(nil), p.steps[:from]...)
	p.steps = append(steps, p.steps[to:]...)
	return p
}
