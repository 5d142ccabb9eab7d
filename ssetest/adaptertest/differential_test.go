package adaptertest

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// The model's encoder agrees with core's on events of all kinds.
func TestDifferentialEncoder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	for range 20_000 {
		e := goodEvent(r, 200)
		wire, err := e.AppendText([]byte(": open\n\n"))
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		var s stripper
		for _, p := range [][]byte{wire[:len(wire)/2], wire[len(wire)/2:]} {
			s.write(p)
		}
		if got, want := s.all(), encode(e); !bytes.Equal(got, want) {
			t.Fatalf("%+v:\ngot  %q\nwant %q", e, got, want)
		}
		if _, err := badEvent(r).AppendText(nil); err == nil {
			t.Fatal("a bad event can be encoded")
		}
	}
}

// The event in place of comments is removed, wherever the stream is cut.
func TestDifferentialBeats(t *testing.T) {
	beat, start := (&plan{guards: guards{Beat: good}}).beatEvent(), "retry: 7\n"
	block := string(encode(beat))
	for _, test := range []struct {
		start, stream, want string
		opened              bool
	}{
		{"", block + "data: a\n\n" + block + "data: b\n\n", "data: a\n\ndata: b\n\n", true},
		{"", "data: a\n\n" + block, "data: a\n\n", false},
		{start, start + block + "data: a\n\n" + block, start + "data: a\n\n", true},
		{start, start + "data: a\n\n" + block, start + "data: a\n\n", false},
	} {
		for cut := range len(test.stream) + 1 {
			s := stripper{start: []byte(test.start), beat: []byte(block)}
			s.write([]byte(test.stream[:cut]))
			if got := string(s.all()); !strings.HasPrefix(test.want, got) {
				t.Errorf("%q: got %q, want a start of %q", test.stream[:cut], got, test.want)
			}
			s.write([]byte(test.stream[cut:]))
			if got := string(s.all()); got != test.want || s.opened != test.opened || s.odd != "" {
				t.Errorf("%q: got %q, opened %t, %q", test.stream, got, s.opened, s.odd)
			}
		}
	}
	s := stripper{beat: []byte(block)}
	if s.write([]byte(heartbeat + "\n")); s.odd == "" {
		t.Error("a comment passes, although an event replaces it")
	}
}

// Only what takes longer than it may, and longer than a busy machine takes, is late.
func TestDifferentialLate(t *testing.T) {
	now := time.Now()
	for took, want := range map[time.Duration]int{0: 0, 3 * time.Second: 0, 8 * time.Second: 1} {
		r := &trial{plan: &plan{}, changed: make(chan struct{})}
		r.times = times{opened: now, closed: now.Add(took), done: now.Add(took)}
		r.owe("a later cause", now.Add(time.Hour))
		r.owe("the cause", now.Add(-time.Minute)) // it was not open then
		if got := r.late(4 * time.Second); len(got) != want {
			t.Errorf("after %v: got %q", took, got)
		}
	}
}

func TestDifferentialStatus(t *testing.T) {
	for _, test := range []struct {
		block string
		want  int
	}{
		{"\x88", 200},
		{"\x8d\x00", 404},
		{"\x48\x03503", 503},
		{"\x4e\x03413", 413},
		{"\x48\x82\x64\x02", 302}, // RFC 7541, appendix C.6.1
		{"\x48\x83\x64\x0e\xff", 307},
		{"\x40\x03503", 0},
		{"\x48\x83\x64", 0},
		{"", 0},
	} {
		got, err := statusOf([]byte(test.block))
		if got != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%x: got %d, %v, want %d", test.block, got, err, test.want)
		}
	}
}

// A plan is the same for the same seed, and a smaller one differs.
func TestDifferentialPlans(t *testing.T) {
	all := []Protocol{HTTP1, HTTP1TLS, HTTP2, H2C}
	for seed := range uint64(200) {
		p := newPlan(seed, all)
		if got, want := newPlan(seed, all).String(), p.String(); got != want {
			t.Fatalf("seed %d:\ngot  %s\nwant %s", seed, got, want)
		}
		for _, q := range p.smaller() {
			if q.String() == p.String() {
				t.Fatalf("seed %d: a smaller plan is the same: %s", seed, p)
			}
		}
	}
}

// A host that changes events is found, soon.
func TestDifferentialFails(t *testing.T) {
	mount := Mount{Serve: (&sample{wrap: trim}).serve, timeout: defaultTimeout}
	d := &differential{t: t, mount: mount}
	for seed := range uint64(50) {
		for _, problem := range d.try(newPlan(seed, []Protocol{HTTP1}), slacks[0]).problems {
			if strings.HasPrefix(problem, "the client has") {
				return
			}
		}
	}
	t.Error("50 programs pass on a host that trims data")
}

// A response that breaks may lack events of the hub, and one that ends cleanly may not.
func TestDifferentialLost(t *testing.T) {
	for end, wrong := range map[string]bool{broken: false, gone: false, clean: true} {
		r := &trial{plan: &plan{Source: ranged}, kicked: 2, end: end, ended: []core.Summary{{Events: 2}}}
		for _, data := range []string{"one", "two"} {
			r.trace = append(r.trace, element{event: core.Event{Data: data}, ok: true})
		}
		_, _, told := r.expected(encode(r.trace[0].event))
		if (told != "") != wrong {
			t.Errorf("a response that ends %s after one of two events: %q", end, told)
		}
	}
}
