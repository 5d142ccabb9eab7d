package run

import "maps"

// Stats are statistics of a [Runner] in this process. With a [Store], runs of other processes
// are not in them, except that Bytes has the copies of theirs that clients read here.
type Stats struct {
	Running int   // runs whose generators have not returned
	Held    int   // runs that are held, also those that run
	Bytes   int64 // as for [WithMaxTotalBytes]

	Started int64             // since the Runner's beginning, as Ended
	Ended   map[Outcome]int64 // runs by how they have ended; all outcomes are in it
}

// Stats returns statistics, for metrics. It costs next to nothing.
func (r *Runner) Stats() Stats {
	ended := map[Outcome]int64{Returned: 0, Failed: 0, Stopped: 0, ShutDown: 0, Lost: 0}
	r.lock()
	defer r.mu.Unlock()
	maps.Copy(ended, r.ended)
	return Stats{Running: len(r.active), Held: len(r.runs), Bytes: r.bytes.Load(), Started: r.started.Load(), Ended: ended}
}

// count counts a run that has ended with err.
func (r *Runner) count(err error) {
	outcome := outcomeOf(err)
	r.lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = make(map[Outcome]int64)
	}
	r.ended[outcome]++
}
