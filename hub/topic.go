package hub

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName  = 255 // bytes of a topic's name
	maxNames = 256 // names of a subscription: each one costs something at each read
)

// The tokens of a pattern that stand for others.
const (
	oneToken  = "*" // for one
	allTokens = ">" // for all that follow, at least one
)

// Check returns the error with which [Hub.Subscribe] would refuse these topics
// and patterns, or nil. Use it for names that come from a request, to refuse them
// before the stream begins. It accepts patterns, which may match more than the
// client should see: see [CheckTopic].
//
// A topic is tokens joined by dots, such as "orders.eu.1207". It has at most 255 bytes
// of UTF-8, no empty token, and no control character, "*" or ">". In a pattern the
// token "*" stands for any one token, and ">", as the last, for one or more. A
// subscription has at most 256 names. If clients choose patterns, keep topics to a few
// tokens: up to 2ⁿ patterns match a topic of n.
func Check(topics ...string) error {
	switch {
	case len(topics) == 0:
		return errors.New("hub: no topic: name at least one")
	case len(topics) > maxNames:
		return fmt.Errorf("hub: %d topics are too many for one subscription: name up to %d, or a pattern", len(topics), maxNames)
	}
	for _, name := range topics {
		if _, err := check(name); err != nil {
			return err
		}
	}
	return nil
}

// CheckTopic returns what is wrong with the name of a topic, or nil. A pattern is
// not a topic. It is the error with which [Hub.Publish] would refuse the name.
func CheckTopic(name string) error {
	pattern, err := check(name)
	if pattern {
		return fmt.Errorf("hub: topic %q is a pattern: name one topic", name)
	}
	return err
}

// check returns what is wrong with a name, and whether it is a pattern.
func check(name string) (pattern bool, err error) {
	wrong := func(why string) (bool, error) {
		if len(name) > maxName {
			name = strings.ToValidUTF8(name[:maxName], "") + "..."
		}
		return false, fmt.Errorf("hub: topic %q: %s", name, why)
	}
	switch {
	case name == "":
		return false, errors.New("hub: the topic is empty")
	case len(name) > maxName:
		return wrong(fmt.Sprintf("a name may have at most %d bytes", maxName))
	case !utf8.ValidString(name):
		return wrong("a name must be valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return wrong("a name must not have control characters")
	}
	for rest, more := name, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		switch {
		case token == "":
			return wrong("a token is empty: put one dot between two tokens")
		case token == oneToken:
			pattern = true
		case token == allTokens && more:
			return wrong(`">" stands for all tokens that follow, so it must be the last`)
		case token == allTokens:
			pattern = true
		case strings.ContainsAny(token, oneToken+allTokens):
			return wrong(`"*" and ">" must be whole tokens of a pattern`)
		}
	}
	return pattern, nil
}

// A source is a topic or a pattern: its part of the log, and its subscriptions.
type source struct {
	name    string
	records list[record]
	came    int64  // events that there ever were
	lost    uint64 // the last event that was dropped, other than for a later one of its key
	since   uint64 // records has no events up to this one; for a pattern that is younger than the log
	before  uint64 // for a pattern: the last event of its topics that was dropped before since, if recalled

	recalled bool   // see recall
	search   uint64 // the last Hub.searches by one of its members

	watchers watchers // members with a filter

	members []*link
	waiting []*link // members without a filter that have read everything and wait for an event
	spare   []*link // an empty slice to reuse for waiting
	round   uint64  // grows whenever waiting is sent off
	index   int     // of the link to it in subscription.links that was looked up last
}

// A topic is a source that can be published to. A joint is not a source itself: see joint.go.
type topic struct {
	source
	parts []*topic // of a joint; otherwise nil
	held  int      // how many events a joint has

	keys  map[string]uint64 // the last event of each key
	keyOf map[uint64]string // the inverse

	sources []*source // the topic itself and the patterns that match it
	asOf    uint64    // Hub.changes when sources was made

	idle bool // it is in Hub.idle
}

// unused reports whether the topic has nothing but its lost.
func (t *topic) unused() bool { return t.records.live == 0 && len(t.members) == 0 }

// record returns the record of an event of the topic that is held.
func (t *topic) record(number uint64) record {
	records := &t.sources[0].records
	return records.items[records.find(number)]
}

// replaceKey stores the last event of a key and returns the one before, or 0.
func (t *topic) replaceKey(key string, number uint64) (before uint64) {
	if t.keys == nil {
		t.keys, t.keyOf = make(map[string]uint64), make(map[uint64]string)
	}
	if before = t.keys[key]; before != 0 {
		key = t.keyOf[before]
		delete(t.keyOf, before)
	} else {
		key = strings.Clone(key)
	}
	t.keys[key], t.keyOf[number] = number, key
	return before
}

func (t *topic) forgetKey(number uint64) {
	if key, ok := t.keyOf[number]; ok {
		delete(t.keyOf, number)
		delete(t.keys, key)
	}
}

// send empties the list of those that wait and returns them. The caller gives the slice
// back with rest.
func (s *source) send() []*link {
	if len(s.waiting) == 0 {
		return nil
	}
	off := s.waiting
	s.waiting, s.spare = s.spare, nil
	s.round++
	return off
}

// rest keeps the slice for those that wait next, when nothing is in it any more.
func (s *source) rest(off []*link) {
	if len(s.members) > 0 && cap(off) > cap(s.spare) {
		s.spare = off[:0]
	}
}

// A tree holds patterns by their tokens.
type tree struct {
	next map[string]*tree
	leaf *source
}

// put stores s, or removes the pattern if s is nil.
func (t *tree) put(pattern string, s *source) {
	token, rest, more := strings.Cut(pattern, ".")
	next := t.next[token]
	if next == nil {
		next = new(tree)
		if t.next == nil {
			t.next = make(map[string]*tree)
		}
		t.next[token] = next
	}
	if more {
		next.put(rest, s)
	} else {
		next.leaf = s
	}
	if next.leaf == nil && len(next.next) == 0 {
		delete(t.next, token)
	}
}

// match appends the patterns that match a topic, and adds to work.
func (t *tree) match(topic string, to []*source, work *int) []*source {
	*work += 2
	if all := t.next[allTokens]; all != nil {
		to = append(to, all.leaf)
	}
	token, rest, more := strings.Cut(topic, ".")
	for _, token := range []string{token, oneToken} {
		switch next := t.next[token]; {
		case next == nil:
		case more:
			to = next.match(rest, to, work)
		case next.leaf != nil:
			to = append(to, next.leaf)
		}
	}
	return to
}
