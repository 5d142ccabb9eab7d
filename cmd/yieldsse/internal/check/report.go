package check

import (
	"fmt"
	"slices"
)

// A Severity says how bad a finding is.
type Severity int

// The severities, from good to bad.
const (
	OK      Severity = iota // as it should be
	Info                    // worth knowing
	Warning                 // harms some clients, or now and then
	Fault                   // harms all clients
)

var severities = []string{"ok", "info", "warning", "fault"}

func (s Severity) String() string {
	if s < OK || int(s) >= len(severities) {
		return fmt.Sprintf("Severity(%d)", int(s))
	}
	return severities[s]
}

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severities, string(text))
	if i < 0 {
		return fmt.Errorf("check: %q is not a severity", text)
	}
	*s = Severity(i)
	return nil
}

// A Finding is a result about a subject. One of severity OK has neither Why nor Fix.
type Finding struct {
	Subject  string   `json:"subject"`
	Severity Severity `json:"severity"`
	Seen     string   `json:"seen"`
	Why      string   `json:"why,omitempty"`
	Fix      string   `json:"fix,omitempty"`
}

// A Report has the findings, in the order of the subjects. Its JSON is stable:
// fields may be added, and none changes.
type Report struct {
	URL       string    `json:"url"`
	Method    string    `json:"method"`
	Stream    bool      `json:"stream"` // the answer was an event stream
	Requests  int       `json:"requests"`
	WatchedMS int64     `json:"watchedMs"` // the first connection
	Events    int       `json:"events"`    // of the first connection
	Summary   Summary   `json:"summary"`
	Findings  []Finding `json:"findings"` // including those that are ok
}

// A Summary counts findings by their severity.
type Summary struct {
	OK      int `json:"ok"`
	Info    int `json:"info"`
	Warning int `json:"warning"`
	Fault   int `json:"fault"`
}

// Clean reports whether there is no warning and no fault.
func (s Summary) Clean() bool { return s.Warning == 0 && s.Fault == 0 }

// Judge makes the report of f.
func Judge(f *Facts) *Report {
	r := &Report{
		URL:       f.URL,
		Method:    f.Method,
		Stream:    f.First.isStream(),
		Requests:  f.Requests,
		WatchedMS: f.First.Watched.Milliseconds(),
		Events:    f.First.Events,
		Findings:  []Finding{},
	}
	for _, s := range subjects {
		if s.ofStream && !r.Stream {
			continue
		}
		for _, found := range s.judge(f) {
			found.Subject = s.name
			r.Findings = append(r.Findings, found)
			switch found.Severity {
			case OK:
				r.Summary.OK++
			case Info:
				r.Summary.Info++
			case Warning:
				r.Summary.Warning++
			case Fault:
				r.Summary.Fault++
			}
		}
	}
	return r
}

// A subject is one thing to check.
type subject struct {
	name     string
	ofStream bool // skipped if the answer was not an event stream
	judge    func(*Facts) []Finding
}

var subjects = []subject{
	{"reachable", false, reachable},
	{"status", false, status},
	{"redirect", false, redirect},
	{"media type", false, mediaType},
	{"charset", true, charset},
	{"caching", true, caching},
	{"buffering header", true, bufferingHeader},
	{"length", true, length},
	{"http version", true, httpVersion},
	{"connection header", true, connectionHeader},
	{"compression", false, compression},
	{"headers", false, headers},
	{"first byte", true, firstByte},
	{"delivery", true, delivery},
	{"heartbeat", true, heartbeat},
	{"event size", true, eventSize},
	{"encoding", true, encoding},
	{"line ends", true, lineEnds},
	{"fields", true, fields},
	{"space", true, space},
	{"blocks", true, blocks},
	{"retry", true, retry},
	{"ids", true, ids},
	{"resumption", true, resumption},
	{"end", true, end},
	{"cors", false, cors},
	{"preflight", true, preflight},
}

func one(s Severity, seen, why, fix string) []Finding {
	return []Finding{{Severity: s, Seen: seen, Why: why, Fix: fix}}
}

func ok(format string, args ...any) []Finding {
	return []Finding{{Seen: fmt.Sprintf(format, args...)}}
}
