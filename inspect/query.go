package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A query is what a viewer wants to see.
type query struct {
	text     string // in lower case; empty for all
	n        int    // rows of each table
	sessions func(a, b *session) int
	topics   func(a, b *topic) int
}

const (
	defaultRows = 100
	maxRows     = 1000
)

// The orders by which sessions and topics can be sorted, by the names of the JSON's fields.
var (
	sessionOrders = map[string]func(a, b *session) int{
		"id":            by(func(s *session) uint64 { return s.ID }),
		"group":         by(func(s *session) string { return s.group }),
		"key":           by(func(s *session) string { return s.Key }),
		"method":        by(func(s *session) string { return s.Request.Method }),
		"path":          by(func(s *session) string { return s.Request.Path }),
		"route":         by(func(s *session) string { return s.Request.Route }),
		"remoteAddr":    by(func(s *session) string { return s.Request.RemoteAddr }),
		"opened":        byTime(func(s *session) time.Time { return s.Opened }),
		"events":        by(func(s *session) int { return s.Events }),
		"bytes":         by(func(s *session) int64 { return s.Bytes }),
		"lastEvent":     byTime(func(s *session) time.Time { return s.LastEvent }),
		"behindSeconds": by(func(s *session) time.Duration { return s.Behind }),
	}
	topicOrders = map[string]func(a, b *topic) int{
		"hub":           by(func(t *topic) string { return t.hub }),
		"name":          by(func(t *topic) string { return t.Name }),
		"subscriptions": by(func(t *topic) int { return t.Subscriptions }),
		"behind":        by(func(t *topic) int { return t.Behind }),
		"held":          by(func(t *topic) int { return t.Held }),
		"published":     by(func(t *topic) int64 { return t.Published }),
		"rate":          by(func(t *topic) float64 { return t.rate }),
	}
)

func by[T any, K cmp.Ordered](key func(*T) K) func(a, b *T) int {
	return func(a, b *T) int { return cmp.Compare(key(a), key(b)) }
}

func byTime[T any](key func(*T) time.Time) func(a, b *T) int {
	return func(a, b *T) int { return key(a).Compare(key(b)) }
}

// queryOf reads a query from the parameters of a URL.
func queryOf(v url.Values) (query, error) {
	q := query{text: strings.ToLower(v.Get("q")), n: defaultRows}
	if text := v.Get("n"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxRows {
			return query{}, fmt.Errorf("inspect: n is %q: give a number of rows from 0 to %d", text, maxRows)
		}
		q.n = n
	}
	var err error
	if q.sessions, err = order(v, "sort", "-id", sessionOrders); err != nil {
		return query{}, err
	}
	q.sessions = then(q.sessions, sessionOrders["id"])
	if q.topics, err = order(v, "topics", "-subscriptions", topicOrders); err != nil {
		return query{}, err
	}
	q.topics = then(q.topics, then(topicOrders["hub"], topicOrders["name"]))
	return q, nil
}

// order returns the order that a parameter names, with a minus for the opposite one.
func order[T any](v url.Values, param, otherwise string, orders map[string]func(a, b *T) int) (func(a, b *T) int, error) {
	text := cmp.Or(v.Get(param), otherwise)
	name, down := strings.CutPrefix(text, "-")
	compare := orders[name]
	switch {
	case compare == nil:
		return nil, fmt.Errorf("inspect: %s is %q: name one of %s, with a minus before it for the greatest first",
			param, text, strings.Join(slices.Sorted(maps.Keys(orders)), ", "))
	case down:
		return func(a, b *T) int { return compare(b, a) }, nil
	default:
		return compare, nil
	}
}

// then returns an order that has rows in the order of second which are the same in first.
func then[T any](first, second func(a, b *T) int) func(a, b *T) int {
	return func(a, b *T) int { return cmp.Or(first(a, b), second(a, b)) }
}

// finds reports whether any of the texts has what the viewer looks for.
func (q *query) finds(texts ...string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), q.text) })
}

func (q *query) wantsSession(s *session) bool {
	return q.text == "" || q.finds(s.group, s.Key, s.Request.RemoteAddr, s.Request.Method+" "+s.Request.Path, s.Request.Route)
}

func (q *query) wantsTopic(t *topic) bool { return q.text == "" || q.finds(t.hub, t.Name) }

// first returns the number of the rows that are wanted, and the first n of them in an order.
// It is one pass: most rows of many come after those that were found before.
func first[T any](rows []T, n int, wanted func(*T) bool, compare func(a, b *T) int) (matching int, found []*T) {
	for i := range rows {
		row := &rows[i]
		if !wanted(row) {
			continue
		}
		matching++
		if len(found) == n && (n == 0 || compare(row, found[n-1]) >= 0) {
			continue
		}
		at, _ := slices.BinarySearchFunc(found, row, compare)
		if len(found) == n {
			found = found[:n-1]
		}
		found = slices.Insert(found, at, row)
	}
	return matching, found
}
