package inspect

import (
	"time"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
)

// A report is the JSON. docs/inspecting.md describes it.
type report struct {
	Time     time.Time            `json:"time"`
	Groups   map[string]int       `json:"groups"`
	Sessions table[sessionRow]    `json:"sessions"`
	Topics   table[topicRow]      `json:"topics"`
	Hubs     map[string]hubReport `json:"hubs"`
	Runs     map[string]runReport `json:"runs"`
}

// A table is the first rows of those that match.
type table[T any] struct {
	Total    int `json:"total"`
	Matching int `json:"matching"`
	Rows     []T `json:"rows"`
}

type sessionRow struct {
	ID            uint64    `json:"id"`
	Group         string    `json:"group"`
	Key           string    `json:"key"`
	Method        string    `json:"method"`
	Path          string    `json:"path"`
	Route         string    `json:"route"`
	RemoteAddr    string    `json:"remoteAddr"`
	Opened        time.Time `json:"opened,omitzero"`
	Events        int       `json:"events"`
	Bytes         int64     `json:"bytes"`
	LastEvent     time.Time `json:"lastEvent,omitzero"`
	BehindSeconds float64   `json:"behindSeconds"`
}

type topicRow struct {
	Hub           string   `json:"hub"`
	Name          string   `json:"name"`
	Pattern       bool     `json:"pattern"`
	Subscriptions int      `json:"subscriptions"`
	Behind        int      `json:"behind"`
	Held          int      `json:"held"`
	Published     int64    `json:"published"`
	Rate          *float64 `json:"rate"`
}

type hubReport struct {
	Error         string                  `json:"error,omitempty"`
	Published     int64                   `json:"published"`
	Delivered     int64                   `json:"delivered"`
	Replaced      int64                   `json:"replaced"`
	Dropped       int64                   `json:"dropped"`
	Gaps          map[hub.GapReason]int64 `json:"gaps"`
	Subscriptions int                     `json:"subscriptions"`
	Topics        int                     `json:"topics"`
	Patterns      int                     `json:"patterns"`
	Events        int                     `json:"events"`
	Bytes         int                     `json:"bytes"`
	Log           *logReport              `json:"log,omitempty"`
}

type logReport struct {
	Events        int64   `json:"events"`
	Bytes         int64   `json:"bytes"`
	LagSeconds    float64 `json:"lagSeconds"`
	SilentSeconds float64 `json:"silentSeconds"`
	Reconnects    int64   `json:"reconnects"`
	Gaps          int64   `json:"gaps"`
	Skipped       int64   `json:"skipped"`
}

type runReport struct {
	Running int                   `json:"running"`
	Held    int                   `json:"held"`
	Bytes   int64                 `json:"bytes"`
	Started int64                 `json:"started"`
	Ended   map[run.Outcome]int64 `json:"ended"`
}

// report returns what a viewer wants to see of the snapshot.
func (s *snapshot) report(q query) *report {
	r := &report{
		Time:     s.at.UTC(),
		Groups:   s.groups,
		Sessions: tableOf(s.sessions, q.n, q.wantsSession, q.sessions, (*session).row),
		Topics:   tableOf(s.topics, q.n, q.wantsTopic, q.topics, (*topic).row),
		Hubs:     make(map[string]hubReport, len(s.hubs)),
		Runs:     make(map[string]runReport, len(s.runs)),
	}
	for name, stats := range s.hubs {
		r.Hubs[name] = reportOf(stats)
	}
	for name, stats := range s.runs {
		r.Runs[name] = runReport(stats)
	}
	return r
}

func tableOf[T, Row any](all []T, n int, wanted func(*T) bool, order func(a, b *T) int, row func(*T) Row) table[Row] {
	matching, found := first(all, n, wanted, order)
	t := table[Row]{Total: len(all), Matching: matching, Rows: make([]Row, len(found))}
	for i, one := range found {
		t.Rows[i] = row(one)
	}
	return t
}

func (s *session) row() sessionRow {
	return sessionRow{
		ID: s.ID, Group: s.group, Key: s.Key,
		Method: s.Request.Method, Path: s.Request.Path, Route: s.Request.Route, RemoteAddr: s.Request.RemoteAddr,
		Opened: s.Opened.UTC(), Events: s.Events, Bytes: s.Bytes, LastEvent: s.LastEvent.UTC(),
		BehindSeconds: s.Behind.Seconds(),
	}
}

func (t *topic) row() topicRow {
	r := topicRow{
		Hub: t.hub, Name: t.Name, Pattern: t.Pattern,
		Subscriptions: t.Subscriptions, Behind: t.Behind, Held: t.Held, Published: t.Published,
	}
	if t.rate >= 0 {
		r.Rate = &t.rate
	}
	return r
}

func reportOf(s hub.Stats) hubReport {
	r := hubReport{
		Published: s.Published, Delivered: s.Delivered, Replaced: s.Replaced, Dropped: s.Dropped, Gaps: s.Gaps,
		Subscriptions: s.Subscriptions, Topics: s.Topics, Patterns: s.Patterns, Events: s.Events, Bytes: s.Bytes,
	}
	if s.Err != nil {
		r.Error = s.Err.Error()
	}
	if log := s.Log; log != nil {
		r.Log = &logReport{
			Events: log.Events, Bytes: log.Bytes, LagSeconds: log.Lag.Seconds(), SilentSeconds: log.Silent.Seconds(),
			Reconnects: log.Reconnects, Gaps: log.Gaps, Skipped: log.Skipped,
		}
	}
	return r
}
