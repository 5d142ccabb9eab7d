package check

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

func ids(f *Facts) []Finding {
	e := &f.First
	switch {
	case e.Events == 0:
		return nil
	case e.IDs.Own == 0:
		return one(Info, "no event has an ID", "a client that reconnects loses what was sent meanwhile, or gets all again",
			"give events IDs, if each of them matters")
	case e.IDs.Long > 0:
		return one(Fault, fmt.Sprintf("an ID of %d bytes", e.IDs.Long),
			"a client sends it back in a header, and most servers and proxies refuse one of more than 8 KiB: it fails for good",
			"use short IDs, and keep what they stand for at the server")
	case e.IDs.Twice > 0:
		return one(Warning, fmt.Sprintf("%s with an ID that another had, such as %.40q", words.Count(e.IDs.Twice, "event"), e.IDs.Again),
			"a client that resumes after it loses the later events or gets the earlier ones again", "give each event an ID of its own")
	case e.IDs.Own < e.Events:
		return one(Info, fmt.Sprintf("%d of %d events have an ID", e.IDs.Own, e.Events),
			"a client that resumes does so behind the last event that had one: others may come twice or never",
			"give all events IDs, if each of them matters")
	}
	return ok("all %d are different", e.IDs.Own)
}

// A result is what came of an attempt to resume.
type result int

const (
	goesOn result = iota
	skips
	repeats
	anew
	nothing
	nothingYet // and perhaps it was too early
	over       // 204
	refused
)

// verdict compares what came with what the first connection saw.
func verdict(first *Exchange, r *Resumed) result {
	e := &r.Exchange
	switch {
	case e.Err != nil:
		return nothing
	case e.Status == http.StatusNoContent && (r.Expected == "" || first.End == Clean):
		return over
	case !e.isStream():
		return refused
	}
	seen, known := owned(e.Head), owned(append(slices.Clone(first.Head), first.Tail...))
	switch {
	case len(seen) == 0 && e.End == Clean:
		return nothing
	case len(seen) == 0 && (r.Expected == "" || e.Watched < first.Pause+shortStep/2):
		return nothingYet
	case len(seen) == 0:
		return nothing
	}
	got := seen[0].ID
	at := func(id string) int { return slices.IndexFunc(known, func(s Seen) bool { return s.ID == id }) }
	switch {
	case got == r.Expected && e.IDs.Twice > 0:
		return repeats
	case got == r.Expected:
		return goesOn
	case got == r.After:
		return repeats
	case got == known[0].ID:
		return anew
	case at(got) >= 0 && at(got) < at(r.After):
		return repeats
	case r.Expected == "":
		return goesOn
	}
	return skips
}

func resumption(f *Facts) []Finding {
	if len(f.Resumed) == 0 {
		return nil
	}
	r := &f.Resumed[len(f.Resumed)-1]
	e := &r.Exchange
	after := fmt.Sprintf("after ID %.40q ", r.After)
	got := ""
	if seen := owned(e.Head); len(seen) > 0 {
		got = fmt.Sprintf("%.40q", seen[0].ID)
	}
	const loses = "a client loses events each time its connection breaks"
	switch verdict(&f.First, r) {
	case goesOn:
		if len(f.Resumed) > 1 {
			return one(Info, after+"it goes on, but after an older ID it skipped some",
				"right if a newer event replaces older ones, as a price does; else a client loses events",
				"keep events for as long as a client may be away")
		}
		return ok("%sit goes on with %s", after, got)
	case skips:
		return one(Warning, fmt.Sprintf("%scame %s; the first connection saw %.40q next", after, got, r.Expected), loses,
			"keep events for a while, and send those behind the Last-Event-ID first")
	case repeats:
		return one(Warning, fmt.Sprintf("%scame what had been seen before: %s", after, repeated(r, got)), "a client handles events twice",
			"begin with the event behind the Last-Event-ID")
	case anew:
		return one(Warning, fmt.Sprintf("%sit starts anew, with %s", after, got),
			"a client gets all events again, each time its connection breaks",
			"read the Last-Event-ID header, and go on behind it; or send no IDs")
	case nothing:
		return one(Warning, fmt.Sprintf("%snothing came within %s; the first connection saw %.40q next",
			after, words.Duration(e.Watched), r.Expected), loses,
			"keep events for a while, and send those behind the Last-Event-ID first")
	case nothingYet:
		return one(Info, fmt.Sprintf("%snothing came within %s, which may be too early", after, words.Duration(e.Watched)),
			"whether it resumes could not be seen", "check it while there are more events")
	case over:
		return ok("%sthe server says that there is no more (204)", after)
	case refused:
	}
	return one(Fault, fmt.Sprintf("%sthe answer is %d %s, %q", after, e.Status, http.StatusText(e.Status), e.Header.Get("Content-Type")),
		"a client that reconnects fails for good", "take any Last-Event-ID; begin anew, or say that there is a gap, if it is unknown")
}

func repeated(r *Resumed, got string) string {
	if again := r.Exchange.IDs.Again; again != "" {
		return fmt.Sprintf("%.40q twice", again)
	}
	return got
}

// end looks at a stream that is over, and at what a client gets that comes back.
func end(f *Facts) []Finding {
	e := &f.First
	if e.End == Broken {
		return one(Fault,
			fmt.Sprintf("it broke off after %s and %s: %v", words.Duration(e.Watched), words.Count(e.Events, "event"), e.EndErr),
			"what was under way is lost, and a client cannot know what the end would have been",
			"look why the server, or a proxy on the way, drops the connection")
	}
	if e.End != Clean {
		return nil
	}
	seen := fmt.Sprintf("it ended by itself after %s and %s", words.Duration(e.Watched), words.Count(e.Events, "event"))
	if f.Method != http.MethodGet {
		return ok("%s", seen) // no EventSource, which would come back
	}
	return ended(f, seen)
}

func ended(f *Facts, seen string) []Finding {
	const (
		comesBack = "an EventSource comes back after each end, for ever"
		mend      = "answer with 204 when there is no more to come, or close the EventSource at a last event"
	)
	e, a := &f.First, f.Again
	switch {
	case a == nil || a.Err != nil:
		return one(Warning, seen+"; a new connection gets no answer", comesBack, mend)
	case a.Status == http.StatusNoContent:
		return ok("%s; then the answer is 204, which ends it for good", seen)
	case !a.isStream():
		return one(Warning, fmt.Sprintf("%s; then the answer is %d", seen, a.Status),
			"an EventSource fails with an error instead of an end", mend)
	case a.Events == 0 && a.End == Clean:
		return one(Warning, seen+"; a new connection ends without an event", comesBack+": it asks every few seconds in vain", mend)
	case a.Events > 0 && e.Events > 0 && a.Head[0].Print == e.Head[0].Print && a.Head[0].ID == e.Head[0].ID:
		last := e.Tail[len(e.Tail)-1]
		if last.Done || e.Tally == 1 && e.Events > 1 {
			return one(Info, seen+"; a new connection gets the same again, but the last event may tell a page to close it", comesBack, mend)
		}
		return one(Warning, seen+"; a new connection gets the same again", comesBack+", and gets it all again", mend)
	case a.Events > 0:
		return ok("%s; a new connection goes on", seen)
	}
	return ok("%s; a new connection stays open", seen)
}
