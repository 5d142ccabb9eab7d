package check

import (
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

const (
	lateHeaders = time.Second           // headers are late from here on
	together    = 50 * time.Millisecond // headers that come so soon before the first byte have waited for it
	advised     = 15 * time.Second      // the heartbeat that the standard advises
	quiet       = advised + 2*time.Second
	proxyLimit  = 60 * time.Second // nginx and others cut a stream that is silent for longer
	stall       = 300 * time.Millisecond
	large       = 64 << 10 // too many bytes of an event that has not ended
	clump       = 4        // events in each burst, on average
)

func headers(f *Facts) []Finding {
	e := &f.First
	switch {
	case e.Err != nil:
		return nil
	case e.Headers < lateHeaders:
		return ok("after %s", words.Duration(e.Headers))
	case e.Bytes > 0 && e.FirstByte-e.Headers < together:
		return one(Warning,
			fmt.Sprintf("after %s, together with the first bytes: they wait for the first event", words.Duration(e.Headers)),
			"a page's onopen fires late, and a proxy may give up before it gets a byte",
			"send the headers and a first comment at once")
	}
	return one(Info, fmt.Sprintf("after %s", words.Duration(e.Headers)),
		"a page's onopen fires late", "find out what takes so long before the stream begins")
}

func firstByte(f *Facts) []Finding {
	e := &f.First
	switch {
	case e.Bytes == 0 && e.End == Clean:
		return nil // the subject "end" reports it
	case e.Bytes == 0:
		return one(Warning, fmt.Sprintf("nothing within %s", words.Duration(e.Watched)),
			"some proxies forward nothing, not even headers, until they have a byte of the body",
			"send a comment, such as \":\" and a blank line, right after the headers; flush it and each event")
	case e.FirstByte-e.Headers > lateHeaders:
		return one(Info, fmt.Sprintf("after %s, %s after the headers", words.Duration(e.FirstByte), words.Duration(e.FirstByte-e.Headers)),
			"some proxies forward nothing, not even headers, until they have a byte of the body",
			"send a comment, such as \":\" and a blank line, right after the headers")
	}
	return ok("after %s", words.Duration(e.FirstByte))
}

// delivery looks for signs that events are held back.
func delivery(f *Facts) []Finding {
	e := &f.First
	const (
		why   = "something collects events before it sends them: a page gets them late"
		proxy = "flush after each event; switch off buffering in each proxy on the way (in nginx: X-Accel-Buffering: no)"
	)
	b := e.Bursts
	switch {
	case e.Events == 0:
		return nil
	case len(b) == 1 && e.End == Clean && e.Events >= 3 && e.FirstByte >= lateHeaders:
		return one(Warning, fmt.Sprintf("all %d events arrived at once, after %s, and then the end",
			e.Events, words.Duration(e.FirstByte)), why, proxy)
	}
	if cuts := stalls(b); cuts >= 2 {
		return one(Warning, fmt.Sprintf("the stream stopped %d times for %v or more in the middle of an event", cuts, stall),
			"a buffer is sent when it is full, not when an event ends; an event is complete only with its blank line", proxy)
	}
	if n, every := clumps(b); n > 0 {
		return one(Warning, fmt.Sprintf("events arrive in clumps: about %d at a time, every %s", n, words.Duration(every)), why,
			proxy+"; if the server makes that many at a time, nothing is wrong")
	}
	return ok("%s in %s: apparently as they are made", words.Count(e.Events, "event"), words.Count(len(b), "arrival"))
}

// stalls counts long pauses in the middle of an event.
func stalls(bursts []Burst) (n int) {
	for i := 1; i < len(bursts); i++ {
		if bursts[i-1].Inside && bursts[i].At-bursts[i-1].Until >= stall {
			n++
		}
	}
	return n
}

// clumps returns how many events arrive at a time, and how often, or 0 if they do not
// arrive in clumps. It ignores bursts without an event, the first burst, which may be
// history, and the last, which may be incomplete.
func clumps(bursts []Burst) (events int, every time.Duration) {
	if len(bursts) < 4 {
		return 0, 0
	}
	var n, total int
	var first, last time.Duration
	for _, b := range bursts[1 : len(bursts)-1] {
		if b.Events == 0 {
			continue
		}
		if n == 0 {
			first = b.At
		}
		n, total, last = n+1, total+b.Events, b.At
		if b.Events < 2 {
			return 0, 0 // an event can arrive alone
		}
	}
	if n < 2 || total/n < clump {
		return 0, 0
	}
	if every = (last - first) / time.Duration(n-1); every < stall {
		return 0, 0
	}
	return total / n, every
}

func heartbeat(f *Facts) []Finding {
	e := &f.First
	const fix = "send a comment, such as \":\" and a blank line, when nothing else was sent for 15 s"
	seen := "the longest silence was " + words.Duration(e.Silence)
	switch {
	case e.End != TimeUp && e.End != Enough && e.Silence < quiet:
		return nil // the stream was over before it needed a heartbeat
	case e.Silence > proxyLimit:
		return one(Fault, seen, "proxies cut a connection that is silent for 60 s", fix)
	case e.Silence > quiet:
		return one(Warning, seen+", without a heartbeat",
			"proxies cut a connection that is silent for 30 or 60 s, and a client that has vanished is not noticed", fix)
	case e.Wire.Comments > 1:
		return ok("%s; %s", words.Count(e.Wire.Comments, "comment"), seen)
	case e.Watched >= quiet || e.Silence < e.Watched/2 && e.End == Enough:
		return ok("%s", seen)
	}
	return one(Info, fmt.Sprintf("none within %s; %s", words.Duration(e.Watched), seen),
		"heartbeats show only after 15 s of silence", "watch for longer: --watch 20s")
}

func eventSize(f *Facts) []Finding {
	e := &f.First
	const (
		why = "a client keeps an event in memory until its blank line comes, and gives up at some size"
		fix = "end each event with a blank line; send large data separately, and only its URL in an event"
	)
	switch {
	case e.End == TooLarge:
		return one(Fault, fmt.Sprintf("an event or a line does not end: %d bytes arrived", e.Bytes), why, fix)
	case e.Wire.Pending >= large:
		return one(Warning, fmt.Sprintf("%d bytes of an event arrived, and it has not ended", e.Wire.Pending), why, fix)
	}
	return nil
}
