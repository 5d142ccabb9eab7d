package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

// What the bytes look like. Nothing is said where nothing came.

func encoding(f *Facts) []Finding {
	w := &f.First.Wire
	switch {
	case f.First.Bytes == 0:
		return nil
	case w.InvalidUTF8:
		return one(Fault, "bytes that are no UTF-8", "clients show U+FFFD in their place: the text is lost",
			"encode as UTF-8; never cut a text between two bytes of a character; put binary data in base64")
	case w.BOM:
		return one(Info, "a byte order mark at the beginning", "clients drop it, but hand-written ones may not", "leave it away")
	}
	return ok("UTF-8")
}

func lineEnds(f *Facts) []Finding {
	w := &f.First.Wire
	switch {
	case w.CR > 0 && w.LF+w.CRLF > 0:
		return one(Warning, fmt.Sprintf("%d lines end with CR alone, %d with LF", w.CR, w.LF+w.CRLF),
			"a CR ends a line wherever it stands: one that was meant as data cuts it, and what follows is a field",
			"split data at CR as well as at LF and CRLF, with \"data: \" before each of its lines")
	case w.CR > 0:
		return one(Info, "lines end with CR alone", "it is allowed, but rare; some clients do not know it", "end lines with LF")
	case w.LF+w.CRLF == 0:
		return nil
	case w.LF > 0 && w.CRLF > 0:
		return one(Info, fmt.Sprintf("%d lines end with LF, %d with CRLF", w.LF, w.CRLF),
			"it is allowed, but a blank line may come from data that ends with a line break", "end all lines with LF")
	case w.CRLF > 0:
		return ok("CRLF")
	}
	return ok("LF")
}

func fields(f *Facts) []Finding {
	w := &f.First.Wire
	var all []Finding
	if w.UnknownLines > 0 {
		severity, seen := Warning, fmt.Sprintf("%s with an unknown field: %s", words.Count(w.UnknownLines, "line"), quoted(w.Unknown))
		why, mend := "clients ignore it in silence",
			"a line begins with data:, event:, id:, retry: or a colon; put \"data: \" before each line of data"
		if !w.known {
			severity, seen = Fault, "nothing but "+seen
			why = "it is not an event stream: clients ignore it in silence, and connect again and again"
			mend += "; send an error with a status and a Content-Type of its own"
		}
		for _, name := range w.Unknown {
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "data", "event", "id", "retry":
				why, mend = "names of fields are in small letters, without a space; clients ignore others in silence", "write "+
					strings.ToLower(strings.TrimSpace(name))+":"
			}
		}
		all = append(all, one(severity, seen, why, mend)...)
	}
	if w.NulIDs > 0 {
		all = append(all, one(Warning, words.Count(w.NulIDs, "id")+" with a NUL in it",
			"clients ignore such an ID, and resume from an older one", "use IDs of [0-9A-Za-z._~-]")...)
	}
	if all == nil && f.First.Bytes > 0 {
		return ok("all known")
	}
	return all
}

func quoted(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(all, ", ")
}

func space(f *Facts) []Finding {
	w := &f.First.Wire
	switch {
	case w.Unspaced > 0 && w.Spaced > 0:
		return one(Warning, fmt.Sprintf("%d data lines have a space behind the colon, %d have none", w.Spaced, w.Unspaced),
			"clients drop one space there: a value that begins with a space, as a language model's tokens do, loses it",
			"write \"data: \", always with the space, and then the value")
	case w.Unspaced > 0:
		return one(Info, "no space behind the colon of data",
			"it is allowed, but a value that begins with a space would lose it", "write \"data: \", always with the space")
	case w.Spaced > 0:
		return ok("one behind the colon, always")
	}
	return nil
}

func blocks(f *Facts) []Finding {
	w := &f.First.Wire
	var all []Finding
	if w.NoData > 0 {
		all = append(all, one(Warning, words.Count(w.NoData, "block")+" with an event type and no data line",
			"clients dispatch nothing without a data line", "send \"data: \" even if the data is empty")...)
	}
	if w.IDOnly > 0 {
		all = append(all, one(Warning, words.Count(w.IDOnly, "block")+" with an ID and no data line",
			"it should set the last event ID, but Firefox ignores it", "send the ID with an event that has a data line")...)
	}
	if w.Unfinished {
		all = append(all, one(Warning, "the last event has no blank line behind it",
			"clients discard it", "end each event with a blank line, the last one too")...)
	}
	if all == nil && f.First.Events > 0 {
		return ok("whole: %s with a data line", words.Count(f.First.Events, "event"))
	}
	return all
}

const (
	shortRetry = 100 * time.Millisecond
	longRetry  = time.Hour
)

func retry(f *Facts) []Finding {
	w := &f.First.Wire
	var all []Finding
	if w.BadRetries > 0 {
		all = append(all, one(Warning, fmt.Sprintf("retry is %.40q", w.BadRetry),
			"clients ignore all but digits", "send whole milliseconds, in decimal digits: retry: 3000")...)
	}
	if r := w.Retries; r.Any && r.Shortest < shortRetry {
		all = append(all, one(Warning, fmt.Sprintf("retry: %d", r.Shortest.Milliseconds()),
			"a client that loses its connection asks again at once, hundreds of times a second while the server is down",
			"send some seconds, in milliseconds: retry: 3000")...)
	}
	if r := w.Retries; r.Longest > longRetry {
		all = append(all, one(Warning, fmt.Sprintf("retry: a client is to wait for %s", atMost(r.Longest, longestRetry)),
			"a client that loses its connection, for a second perhaps, stays away for so long",
			"send some seconds, in milliseconds: retry: 3000")...)
	}
	if all == nil && w.Retries.Any {
		return ok("%v", w.Retries.Shortest)
	}
	return all
}

func atMost(d, limit time.Duration) string {
	if d >= limit {
		return fmt.Sprintf("%v or more", limit)
	}
	return d.String()
}
