package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

// These subjects judge the bytes. They report nothing if there were none.

func encoding(f *Facts) []Finding {
	w := &f.First.Wire
	switch {
	case f.First.Bytes == 0:
		return nil
	case w.InvalidUTF8:
		return one(Fault, "bytes that are not UTF-8", "clients show U+FFFD in their place: the text is lost",
			"encode text as UTF-8; never cut it between two bytes of a character; encode binary data as base64")
	case w.BOM:
		return one(Info, "a byte order mark at the beginning", "clients drop it, but hand-written ones may not", "remove it")
	}
	return ok("UTF-8")
}

func lineEnds(f *Facts) []Finding {
	w := &f.First.Wire
	switch {
	case w.CR > 0 && w.LF+w.CRLF > 0:
		return one(Warning, fmt.Sprintf("%d lines end with CR alone, %d with LF", w.CR, w.LF+w.CRLF),
			"a CR always ends a line: one inside data cuts the data, and the rest becomes another field",
			"split data at CR as well as at LF and CRLF, with \"data: \" before each line")
	case w.CR > 0:
		return one(Info, "lines end with CR alone", "this is allowed, but rare; some clients do not support it", "end lines with LF")
	case w.LF+w.CRLF == 0:
		return nil
	case w.LF > 0 && w.CRLF > 0:
		return one(Info, fmt.Sprintf("%d lines end with LF, %d with CRLF", w.LF, w.CRLF),
			"this is allowed, but a blank line may come from data that ends with a line break", "end all lines with LF")
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
		why, fix := "clients silently ignore it",
			"begin a line with data:, event:, id:, retry: or a colon; put \"data: \" before each line of data"
		if !w.known {
			severity, seen = Fault, "nothing but "+seen
			why = "this is not an event stream: clients silently ignore it, and reconnect again and again"
			fix += "; send an error with its own status and Content-Type"
		}
		for _, name := range w.Unknown {
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "data", "event", "id", "retry":
				why, fix = "names of fields are in lower case, without a space; clients silently ignore others", "write "+
					strings.ToLower(strings.TrimSpace(name))+":"
			}
		}
		all = append(all, one(severity, seen, why, fix)...)
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
		return one(Warning, fmt.Sprintf("%d data lines have a space after the colon, %d have none", w.Spaced, w.Unspaced),
			"clients drop one space there: a value that begins with a space, like many tokens of language models, loses it",
			"always write \"data: \" with the space, and then the value")
	case w.Unspaced > 0:
		return one(Info, "no space after the colon of data",
			"this is allowed, but a value that begins with a space would lose it", "always write \"data: \" with the space")
	case w.Spaced > 0:
		return ok("always one after the colon")
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
			"this should set the last event ID, but Firefox ignores it", "send the ID with an event that has a data line")...)
	}
	if w.Unfinished {
		all = append(all, one(Warning, "there is no blank line after the last event",
			"clients discard the event", "end each event with a blank line, including the last one")...)
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
			"clients ignore a value with anything but digits", "send whole milliseconds, in decimal digits: retry: 3000")...)
	}
	if r := w.Retries; r.Any && r.Shortest < shortRetry {
		all = append(all, one(Warning, fmt.Sprintf("retry: %d", r.Shortest.Milliseconds()),
			"a client that loses its connection reconnects at once, hundreds of times a second while the server is down",
			"send a few seconds, in milliseconds: retry: 3000")...)
	}
	if r := w.Retries; r.Longest > longRetry {
		all = append(all, one(Warning, fmt.Sprintf("retry makes a client wait for %s", atMost(r.Longest, longestRetry)),
			"a client that loses its connection, perhaps for a second, stays away for that long",
			"send a few seconds, in milliseconds: retry: 3000")...)
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
