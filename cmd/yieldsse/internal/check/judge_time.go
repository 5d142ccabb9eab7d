package check

import (
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

const (
	lateHeaders = time.Second           // from here on headers are late
	together    = 50 * time.Millisecond // what comes so soon after another waited for it
	advised     = 15 * time.Second      // the heartbeat that the standard advises
	quiet       = advised + 2*time.Second
	proxyLimit  = 60 * time.Second // after which nginx and others cut a silent stream
	stall       = 300 * time.Millisecond
	large       = 64 << 10 // bytes of an event that are too many when the end is not in sight
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
			"a page's onopen fires late, and a proxy may give up before it has heard anything",
			"send the headers and a first comment at once")
	}
	return one(Info, fmt.Sprintf("after %s", words.Duration(e.Headers)),
		"a page's onopen fires late", "look what takes so long before the stream begins")
}

func firstByte(f *Facts) []Finding {
	e := &f.First
	switch {
	case e.Bytes == 0 && e.End == Clean:
		return nil // see the end
	case e.Bytes == 0:
		return one(Warning, fmt.Sprintf("nothing within %s", words.Duration(e.Watched)),
			"some proxies send nothing on, headers included, until they have a byte of the body",
			"send a comment, such as \":\" and a blank line, right after the headers; flush it and each event")
	case e.FirstByte-e.Headers > lateHeaders:
		return one(Info, fmt.Sprintf("after %s, %s behind the headers", words.Duration(e.FirstByte), words.Duration(e.FirstByte-e.Headers)),
			"some proxies send nothing on, headers included, until they have a byte of the body",
			"send a comment, such as \":\" and a blank line, right after the headers")
	}
	return ok("after %s", words.Duration(e.FirstByte))
}

// delivery looks for what holds events back.
func delivery(f *Facts) []Finding {
	e := &f.First
	const (
		why   = "something gathers events before it sends them: a page sees them late"
		proxy = "flush after each event; switch off buffering in each proxy on the way (in nginx: X-Accel-Buffering: no)"
	)
	b := e.Bursts
	switch {
	case e.Events == 0:
		return nil
	case len(b) == 1 && e.End == Clean && e.Events >= 3 && e.FirstByte >= lateHeaders:
		return one(Warning, fmt.Sprintf("all %d events came at once, after %s, and then the end",
			e.Events, words.Duration(e.FirstByte)), why, proxy)
	}
	if cuts := stalls(b); cuts >= 2 {
		return one(Warning, fmt.Sprintf("%d times it stopped for %v and more in the middle of an event", cuts, stall),
			"a buffer is sent when it is full, not when an event is over; an event counts only with the blank line behind it", proxy)
	}
	if n, every := clumps(b); n > 0 {
		return one(Warning, fmt.Sprintf("events come in clumps: about %d at a time, every %s", n, words.Duration(every)), why,
			proxy+"; if the server makes that many at a time, all is well")
	}
	return ok("%s in %s: as they are made, it seems", words.Count(e.Events, "event"), words.Count(len(b), "arrival"))
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

// clumps returns how many events come at a time, and how often, or 0 if they do not
// come so. The first burst does not count, for it may be history, nor the last, which
// may be half of one, nor do bursts without an event.
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
			return 0, 0 // it can come alone
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
	const mend = "send a comment, such as \":\" and a blank line, when nothing else was sent for 15 s"
	seen := "the longest silence was " + words.Duration(e.Silence)
	switch {
	case e.End != TimeUp && e.End != Enough && e.Silence < quiet:
		return nil // it was over before it needed one
	case e.Silence > proxyLimit:
		return one(Fault, seen, "proxies cut a connection that is silent for 60 s", mend)
	case e.Silence > quiet:
		return one(Warning, seen+", without a heartbeat",
			"proxies cut a connection that is silent for 30 or 60 s, and a client that has vanished is not noticed", mend)
	case e.Wire.Comments > 1:
		return ok("%s; %s", words.Count(e.Wire.Comments, "comment"), seen)
	case e.Watched >= quiet || e.Silence < e.Watched/2 && e.End == Enough:
		return ok("%s", seen)
	}
	return one(Info, fmt.Sprintf("none within %s; %s", words.Duration(e.Watched), seen),
		"whether there are any can be seen after 15 s of silence", "watch for longer: --watch 20s")
}

func eventSize(f *Facts) []Finding {
	e := &f.First
	const (
		why  = "a client keeps an event in memory until its blank line comes, and gives up in the end"
		mend = "end each event with a blank line; send large things elsewhere, and their address in an event"
	)
	switch {
	case e.End == TooLarge:
		return one(Fault, fmt.Sprintf("an event, or a line, has no end: %d bytes came", e.Bytes), why, mend)
	case e.Wire.Pending >= large:
		return one(Warning, fmt.Sprintf("%d bytes of an event came, and it has not ended", e.Wire.Pending), why, mend)
	}
	return nil
}
