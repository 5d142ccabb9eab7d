package adaptertest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// expected returns the bytes that the client may have received: first of the events that were
// taken, and then of those that were tried. For a hub it finds out which events these
// are, and describes what is wrong with them.
func (r *trial) expected(got []byte) (body, rest []byte, told string) {
	body = bytes.Clone(r.strip.start)
	if r.Source == generator {
		start, taken := len(body), 0
		if r.strip.ended {
			start = 0
		}
		for _, e := range r.trace {
			switch {
			case e.ok:
				body = append(body, behind(start, len(body), e.event)...)
				taken++
			case e.bad || e.err != nil || r.throws(e):
			case e.before == nil && taken < r.ended[0].Events: // the context ended after the event was taken
				body = append(body, behind(start, len(body), e.event)...)
				taken++
			default:
				rest = append(rest, encode(e.event)...)
			}
		}
		return body, rest, ""
	}
	return r.expectedOfHub(body, got)
}

// expectedOfHub follows a subscription: it gets each event in order, or a gap event that
// says which are missing.
func (r *trial) expectedOfHub(start, got []byte) (body, rest []byte, told string) {
	if !bytes.HasPrefix(got, start) {
		if bytes.HasPrefix(start, got) {
			return start, nil, ""
		}
		return nil, nil, fmt.Sprintf("the client has %s, want first %s", short(got), short(start))
	}
	end := r.ended[0]
	at, next := len(start), 0
	for at < len(got) {
		frame, _, whole := bytes.Cut(got[at:], []byte("\n\n"))
		if whole {
			frame = got[at : at+len(frame)+2]
		}
		if next < len(r.trace) {
			if want := behind(len(start), at, r.trace[next].event); bytes.HasPrefix(got[at:], want) {
				at, next = at+len(want), next+1
				continue
			} else if bytes.HasPrefix(want, got[at:]) { // the last one, in part
				return got, nil, ""
			}
		}
		if n := r.published(frame); next == 0 && r.Bound > 0 && n > 0 { // it is the oldest that the hub still has
			next = n
			continue
		}
		if bytes.HasPrefix(frame, []byte("id: ")) && bytes.Contains(frame, []byte("\nevent: gap\n")) {
			id, _, _ := strings.Cut(string(frame[4:]), "\n")
			_, digits, _ := strings.Cut(id, "-")
			through, err := strconv.Atoi(digits)
			if err != nil || through < next || through > len(r.trace) || r.Bound == 0 && (r.resumes() == "" || next > 0) {
				return nil, nil, fmt.Sprintf("after %d events there is a gap through %q", next, id)
			}
			at, next = at+len(frame), through
			continue
		}
		break
	}
	// A response that breaks may lack events. Whether it may break is checked with its end.
	if end.Cause == nil && end.Err == nil && r.end == clean && next < r.kicked {
		return nil, nil, fmt.Sprintf("the client has %d of %d events, and then %s", next, r.kicked, short(got[at:]))
	}
	return got[:at:at], nil, ""
}

// published returns the number of the hub's event that the frame is, or -1.
func (r *trial) published(frame []byte) int {
	return slices.IndexFunc(r.trace, func(e element) bool { return bytes.Equal(encode(e.event), frame) })
}

// behind returns the wire form of an event after the first at bytes of the stream. The
// start, a reconnection time, is in the first event's block, which may have nothing else.
func behind(start, at int, e core.Event) []byte {
	if wire := encode(e); len(wire) > 0 || start == 0 || at > start {
		return wire
	}
	return []byte("\n")
}
