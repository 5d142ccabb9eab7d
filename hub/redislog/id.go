package redislog

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/yieldsse/yieldsse/hub"
)

// epochLen is the length of an epoch, 5 bits a byte.
const epochLen = 8

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
	var p position
	var err1, err2 error
	p.ms, err1 = strconv.ParseUint(ms, 10, 64)
	p.seq, err2 = strconv.ParseUint(seq, 10, 64)
	if err1 != nil || err2 != nil || len(ms) > 1 && ms[0] == '0' || len(seq) > 1 && seq[0] == '0' {
		return position{}, fmt.Errorf("redislog: %q is no ID of a Redis stream", id)
	}
	return p, nil
}

func newID(epoch string, p position) string { return epoch + "-" + p.String() }

// parseID undoes newID.
func parseID(id string) (epoch string, p position, err error) {
	epoch, rest, _ := strings.Cut(id, "-")
	if len(epoch) != epochLen || strings.Trim(epoch, "abcdefghijklmnopqrstuvwxyz234567") != "" {
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
