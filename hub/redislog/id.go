package redislog

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// A position is a Redis stream ID.
type position struct {
	ms, seq uint64
}

func (p position) String() string {
	return strconv.FormatUint(p.ms, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.ms, q.ms), cmp.Compare(p.seq, q.seq))
}

func later(p, q position) position {
	if p.compare(q) < 0 {
		return q
	}
	return p
}

// parsePosition undoes String.
func parsePosition(id string) (position, error) {
	ms, seq, _ := strings.Cut(id, "-")
	m, ok1 := eventid.ParseNumber(ms)
	n, ok2 := eventid.ParseNumber(seq)
	if !ok1 || !ok2 {
		return position{}, fmt.Errorf("redislog: %q is no ID of a Redis stream", id)
	}
	return position{m, n}, nil
}

func newID(epoch string, p position) string { return epoch + "-" + p.String() }

// parseID undoes newID.
func parseID(id string) (epoch string, p position, err error) {
	epoch, rest, ok := eventid.Cut(id)
	if !ok {
		return "", position{}, fmt.Errorf("redislog: %q is no ID of an event", id)
	}
	p, err = parsePosition(rest)
	return epoch, p, err
}

// A place is where an entry is, and its mark: two servers may give the same ID to
// different entries. The zero place is none.
type place struct {
	position

	epoch string
	mark  uint64 // 0 if it is not known
}

var seed = maphash.MakeSeed()

// placeOf does not look at all of a long entry, for it is called for each.
func placeOf(epoch string, p position, e hub.Entry) place {
	const most = 64
	data := e.Event.Data
	sum := uint64(len(data))
	for _, text := range []string{e.Topic, data[:min(len(data), most)], data[max(len(data)-most, 0):]} {
		sum = 31*sum + maphash.String(seed, text)
	}
	return place{p, epoch, sum}
}
