package adaptertest

import (
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// smaller returns plans that are a little smaller.
func (p *plan) smaller() []*plan {
	var all []*plan
	with := func(change func(*plan)) {
		q := *p
		q.Steps = slices.Clone(p.Steps)
		change(&q)
		if q.String() != p.String() {
			all = append(all, &q)
		}
	}
	for n := len(p.Steps) / 2; n > 0; n /= 2 { // many at once first
		for i := 0; i+n <= len(p.Steps); i += n {
			with(func(q *plan) { q.Steps = slices.Delete(q.Steps, i, i+n) })
		}
	}
	for _, change := range []func(*plan){
		func(q *plan) { q.Client = client{Method: "GET", Reads: readsAll, Window: min(q.Client.Window, 65535)} },
		func(q *plan) { q.Protocol = HTTP1; q.Client.Window = 0 },
		func(q *plan) { q.Client.Cut = min(q.Client.Cut, stallSize/2) },
		func(q *plan) { q.HTTP10 = false },
		func(q *plan) { q.Detach = false },
		func(q *plan) { q.Compress = false },
		func(q *plan) { q.Stubborn = false },
		func(q *plan) { q.Source = generator; q.LastEventID, q.GapEvent, q.Bound = "", "", 0 },
		func(q *plan) { q.Heartbeat = 0 },
		func(q *plan) { q.FlushWindow = 0 },
		func(q *plan) { q.WriteTimeout = 0 },
		func(q *plan) { q.WriteTimeout = time.Minute },
		func(q *plan) { q.MaxAge = 0 },
		func(q *plan) { q.Retry = 0 },
		func(q *plan) { q.Deadline = 0 },
		func(q *plan) { q.Wrapped = false },
		func(q *plan) { q.ServerTimeout = 0 },
		func(q *plan) { q.ErrorEvent = "" },
		func(q *plan) { q.Opened = "" },
		func(q *plan) { q.Closed = "" },
		func(q *plan) { q.guards = guards{} },
		func(q *plan) { q.Beat = "" },
		func(q *plan) { q.Wrote, q.WroteFrom = "", 0 },
		func(q *plan) { q.WroteFrom = 0 },
		func(q *plan) { q.Recheck = recheck{} },
		func(q *plan) { q.Recheck.At, q.Recheck.Err = 0, 0 },
		func(q *plan) { q.Expiry, q.Expires = "", 0 },
		func(q *plan) { q.Refused = "" },
		func(q *plan) { q.ByQuery, q.QueryID = false, "" },
		func(q *plan) { q.Refuse = "" },
		func(q *plan) { q.Bound = 0 },
		func(q *plan) { q.LastEventID = "" },
		func(q *plan) { q.Client.Reads = readsAll },
		func(q *plan) { q.Client.Leaves, q.Client.After = "", 0 },
		func(q *plan) { q.Client.Pre = false },
		func(q *plan) { q.Client.Pipeline = false },
		func(q *plan) { q.Client.Junk = 0 },
		func(q *plan) { q.Client.Junk = min(q.Client.Junk, 1) },
		func(q *plan) {
			q.Client.Method, q.Client.Body, q.Client.Chunked, q.Client.ViewRead = "GET", "", false, false
			q.Client.Cut = 0
		},
		func(q *plan) { q.Client.Window = min(q.Client.Window, 65535) },
	} {
		with(change)
	}
	for i := range p.Steps {
		if e := p.Steps[i].Event; e != (core.Event{}) && p.Steps[i].Do == doYield {
			with(func(q *plan) { q.Steps[i].Event = core.Event{Data: "x"} })
			with(func(q *plan) { q.Steps[i].Event = core.Event{Data: e.Data} })
			with(func(q *plan) { q.Steps[i].Event.Data = e.Data[:len(e.Data)/2] })
		}
	}
	return all
}
