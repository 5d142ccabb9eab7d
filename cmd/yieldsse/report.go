package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

// A report is the output of bench, as text or as JSON.
type report struct {
	URL          string       `json:"url"`
	HTTP         string       `json:"http"`
	Streams      int          `json:"streams"`
	Open         int64        `json:"open"`        // at the end
	GivenUp      int          `json:"givenUp"`     // streams that will not connect again
	Connections  int64        `json:"connections"` // including reconnections
	RampMS       float64      `json:"rampMs"`
	MeasuredMS   float64      `json:"measuredMs"`
	Connect      *percentiles `json:"connect"`
	Events       int64        `json:"events"`
	EventsPerSec float64      `json:"eventsPerSec"`
	Bytes        int64        `json:"bytes"`
	BytesPerSec  float64      `json:"bytesPerSec"`
	Latency      *percentiles `json:"latency,omitempty"` // if events have a time
	Early        int64        `json:"early"`             // events that arrived before their time
	OtherMachine bool         `json:"otherMachine"`      // latency includes the difference between two clocks
	Reconnects   int64        `json:"reconnects"`
	Errors       []errorCount `json:"errors"`
}

type percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50Ms"`
	P90   float64 `json:"p90Ms"`
	P99   float64 `json:"p99Ms"`
	Max   float64 `json:"maxMs"`
}

type errorCount struct {
	Message string `json:"message"`
	Count   int64  `json:"count"`
}

// newReport returns a report of what happened up to the snapshot.
func newReport(m *meter, end snapshot) *report {
	latency := newHistogram()
	r := &report{
		Open:         end.open,
		GivenUp:      int(end.gaveUp),
		Connections:  m.conns.Load(),
		OtherMachine: m.remote.Load(),
		Reconnects:   m.reconnect.Load(),
		Errors:       []errorCount{},
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		latency.Merge(s.latency)
		r.Early += s.early
		s.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	took := end.at.Sub(m.start.at)
	r.HTTP = m.proto
	r.RampMS, r.MeasuredMS = milliseconds(m.ramp), milliseconds(took)
	r.Connect = percentilesOf(m.connect)
	r.Latency = percentilesOf(latency)
	r.Events, r.EventsPerSec = rate(end.events-m.start.events, took)
	r.Bytes, r.BytesPerSec = rate(end.bytes-m.start.bytes, took)
	for message, count := range m.errors {
		r.Errors = append(r.Errors, errorCount{message, count})
	}
	slices.SortFunc(r.Errors, func(a, b errorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Message, b.Message))
	})
	return r
}

func rate(n int64, d time.Duration) (int64, float64) {
	if d <= 0 {
		return n, 0
	}
	return n, float64(n) / d.Seconds()
}

// percentilesOf returns nil if nothing was recorded.
func percentilesOf(h *hdrhistogram.Histogram) *percentiles {
	if h.TotalCount() == 0 {
		return nil
	}
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return &percentiles{
		Count: h.TotalCount(),
		P50:   ms(h.ValueAtQuantile(50)),
		P90:   ms(h.ValueAtQuantile(90)),
		P99:   ms(h.ValueAtQuantile(99)),
		Max:   ms(h.Max()),
	}
}

func (r *report) text() []byte {
	var b bytes.Buffer
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("url", "%s", r.URL)
	row("streams", "%d, of which %d are open at the end and %d have given up; opened in %s",
		r.Streams, r.Open, r.GivenUp, fromMS(r.RampMS))
	row("http", "%s, %s made", r.HTTP, words.Count(r.Connections, "connection"))
	row("connect", "%v", r.Connect)
	row("events", "%d in %s, %.1f/s", r.Events, fromMS(r.MeasuredMS), r.EventsPerSec)
	row("bytes", "%s, %s/s", bytesText(float64(r.Bytes)), bytesText(r.BytesPerSec))
	switch {
	case r.Latency != nil:
		row("latency", "%v  of %s", r.Latency, words.Count(r.Latency.Count, "event"))
	case r.Early == 0:
		row("latency", "unknown: no event has a time (see --time-field)")
	}
	if r.Early > 0 {
		row("latency", "%s arrived before the time in the event: the clocks differ", words.Count(r.Early, "event"))
	}
	if r.OtherMachine && r.Latency != nil {
		row("", "the server is on another machine: the latency includes the difference between the two clocks")
	}
	row("reconnects", "%d", r.Reconnects)
	var sum int64
	for _, e := range r.Errors {
		sum += e.Count
	}
	row("errors", "%d", sum)
	for _, e := range r.Errors {
		row("", "%6d  %s", e.Count, strings.ReplaceAll(e.Message, "\n", " "))
	}
	return b.Bytes()
}

func (p *percentiles) String() string {
	if p == nil {
		return "none"
	}
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  max %s", fromMS(p.P50), fromMS(p.P90), fromMS(p.P99), fromMS(p.Max))
}

func fromMS(ms float64) string { return words.Duration(time.Duration(ms * float64(time.Millisecond))) }

func bytesText(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if n < 1000 {
			return fmt.Sprintf("%.4g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.4g TB", n)
}
