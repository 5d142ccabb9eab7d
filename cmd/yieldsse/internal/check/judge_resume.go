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
		return one(Info, "no event has an ID", "a client that reconnects misses the events in between, or gets all events again",
			"give events IDs, if each of them matters")
	case e.IDs.Long > 0:
		return one(Fault, fmt.Sprintf("an ID of %d bytes", e.IDs.Long),
			"a client sends it back in a header, and most servers and proxies refuse one of more than 8 KiB: it fails for good",
			"use short IDs, and keep what they stand for on the server")
	case e.IDs.Twice > 0:
		return one(Warning, fmt.Sprintf("%s with the ID of another event, such as %.40q", words.Count(e.IDs.Twice, "event"), e.IDs.Again),
			"a client that resumes after it misses the later events or gets the earlier ones again", "give each event a unique ID")
	case e.IDs.Own < e.Events:
		return one(Info, fmt.Sprintf("%d of %d events have an ID", e.IDs.Own, e.Events),
			"a client resumes after the last event with an ID: events without one may come twice or never",
			"give all events IDs, if each of them matters")
	}
	return ok("all %d are different", e.IDs.Own)
}

// A result is the outcome of an attempt to resume.
type result int

const (
	continues result = iota
	skips
	repeats
	startsOver
	nothing
	nothingYet // perhaps it was too early
	unanswered
	over // 204
	refused
)

// verdict compares the events with those of the first connection.
func verdict(first *Exchange, r *Resumed) result {
	e := &r.Exchange
	switch {
	case e.Err != nil:
		return unanswered
	case e.Status == http.StatusNoContent && (r.Expected == "" || first.End == Clean):
		return over
	case !e.isStream():
		return refused
	}
	seen, known := owned(e.Head), owned(append(slices.Clone(first.Head), first.Tail...))
	switch {
	case len(seen) == 0 && (r.Expected == "" || e.End != Clean && e.Watched < first.Pause+shortStep/2):
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
		return continues
	case got == r.After:
		return repeats
	case got == known[0].ID:
		return startsOver
	case at(got) >= 0 && at(got) < at(r.After):
		return repeats
	case r.Expected == "":
		return continues
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
	const loses = "a client misses events each time its connection breaks"
	switch verdict(&f.First, r) {
	case continues:
		if len(f.Resumed) > 1 {
			return one(Info, after+"it resumes, but after an older ID it skipped some events",
				"this is right if a newer event replaces older ones, as with prices; otherwise a client misses events",
				"keep events for as long as a client may be away")
		}
		return ok("%sit resumes with %s", after, got)
	case skips:
		return one(Warning, fmt.Sprintf("%sthe stream sends %s; on the first connection %.40q came next", after, got, r.Expected), loses,
			"keep events for a while, and first send those after the Last-Event-ID")
	case repeats:
		return one(Warning, fmt.Sprintf("%sthe stream repeats an event: %s", after, repeated(r, got)), "a client handles events twice",
			"begin with the event after the Last-Event-ID")
	case startsOver:
		return one(Warning, fmt.Sprintf("%sit starts over, with %s", after, got),
			"a client gets all events again each time its connection breaks",
			"read the Last-Event-ID header, and resume after it; or send no IDs")
	case nothing:
		return one(Warning, fmt.Sprintf("%snothing came within %s; on the first connection %.40q came next",
			after, words.Duration(e.Watched), r.Expected), loses,
			"keep events for a while, and first send those after the Last-Event-ID")
	case nothingYet:
		return one(Info, fmt.Sprintf("%snothing came within %s, which may be too early", after, words.Duration(e.Watched)),
			"the check could not find out whether the stream resumes", "check it while there are more events")
	case unanswered:
		return one(Warning, fmt.Sprintf("%sno answer came: %v", after, e.Err), "a client cannot resume",
			"find out why the server does not answer a client that reconnects")
	case over:
		return ok("%sthe server says that there are no more events (204)", after)
	case refused:
	}
	return one(Fault, fmt.Sprintf("%sthe answer is %d %s, %q", after, e.Status, http.StatusText(e.Status), e.Header.Get("Content-Type")),
		"a client that reconnects fails for good",
		"accept any Last-Event-ID; if it is unknown, start over or tell the client that there is a gap")
}

func repeated(r *Resumed, got string) string {
	if again := r.Exchange.IDs.Again; again != "" {
		return fmt.Sprintf("%.40q twice", again)
	}
	return got
}

// end judges the end of a stream, and what a client gets when it reconnects.
func end(f *Facts) []Finding {
	e := &f.First
	if e.End == Broken {
		return one(Fault,
			fmt.Sprintf("it broke off after %s and %s: %v", words.Duration(e.Watched), words.Count(e.Events, "event"), e.EndErr),
			"the event under way is lost, and a client cannot know whether more would have come",
			"find out why the server, or a proxy on the way, drops the connection")
	}
	if e.End != Clean {
		return nil
	}
	seen := fmt.Sprintf("the stream ended after %s and %s", words.Duration(e.Watched), words.Count(e.Events, "event"))
	if f.Method != http.MethodGet {
		return ok("%s", seen) // the client is not an EventSource, which would reconnect
	}
	return ended(f, seen)
}

func ended(f *Facts, seen string) []Finding {
	const (
		reconnects = "an EventSource reconnects after each end, forever"
		fix        = "answer with 204 when there are no more events, or close the EventSource at a last event"
	)
	e, a := &f.First, f.Again
	switch {
	case a == nil || a.Err != nil:
		return one(Warning, seen+"; a new connection gets no answer", reconnects, fix)
	case a.Status == http.StatusNoContent:
		return ok("%s; a new connection gets 204, which ends it for good", seen)
	case !a.isStream():
		return one(Warning, fmt.Sprintf("%s; a new connection gets %d", seen, a.Status),
			"an EventSource fails with an error instead of an end", fix)
	case a.Events == 0 && a.End == Clean:
		return one(Warning, seen+"; a new connection ends without an event", reconnects+", every few seconds and in vain", fix)
	case a.Events > 0 && e.Events > 0 && a.Head[0].Print == e.Head[0].Print && a.Head[0].ID == e.Head[0].ID:
		last := e.Tail[len(e.Tail)-1]
		if last.Done || e.Tally == 1 && e.Events > 1 {
			return one(Info, seen+"; a new connection gets the same again, but the last event may tell a page to close it", reconnects, fix)
		}
		return one(Warning, seen+"; a new connection gets the same again", reconnects+", and gets all events again", fix)
	case a.Events > 0:
		return ok("%s; a new connection continues", seen)
	}
	return ok("%s; a new connection stays open", seen)
}
