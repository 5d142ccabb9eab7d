package redislog

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
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

// before returns the position before p, which is not the first.
func (p position) before() position {
	if p.seq > 0 {
		return position{p.ms, p.seq - 1}
	}
	return position{p.ms - 1, math.MaxUint64}
}

func later(p, q position) position {
	if p.compare(q) < 0 {
		return q
	}
	return p
}

// parsePosition is the inverse of String.
func parsePosition(id string) (position, error) {
	ms, seq, _ := strings.Cut(id, "-")
	m, ok1 := eventid.ParseNumber(ms)
	n, ok2 := eventid.ParseNumber(seq)
	if !ok1 || !ok2 {
		return position{}, fmt.Errorf("redislog: %q is not an ID of a Redis stream", id)
	}
	return position{m, n}, nil
}

func newID(epoch string, p position) string { return epoch + "-" + p.String() }

// parseID is the inverse of newID.
func parseID(id string) (epoch string, p position, err error) {
	epoch, rest, ok := eventid.Cut(id)
	if !ok {
		return "", position{}, fmt.Errorf("redislog: %q is not an event ID of this log", id)
	}
	p, err = parsePosition(rest)
	return epoch, p, err
}

// A place is an entry's position, and its mark, because two servers may give the same ID to
// different entries. The zero place is not one.
type place struct {
	position

	epoch string
	mark  uint64 // 0 if not known
}

var seed = maphash.MakeSeed()

// placeOf does not look at all of a long entry, because it is called for each one.
func placeOf(epoch string, p position, e hub.Entry) place {
	const most = 64
	data := e.Event.Data
	sum := uint64(len(data))
	for _, text := range []string{e.Topic, data[:min(len(data), most)], data[max(len(data)-most, 0):]} {
		sum = 31*sum + maphash.String(seed, text)
	}
	return place{p, epoch, sum}
}
