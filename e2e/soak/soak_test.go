package main

import (
	"flag"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

var seed = flag.Uint64("soak.seed", 1, "the seed of TestSoak")

func TestMain(m *testing.M) {
	if os.Getenv(envServer) != "" {
		main()
		return
	}
	testenv.ShareCPUs()
	os.Exit(m.Run())
}

// All kinds of clients, restarts and a log that is killed: no event is lost or comes twice,
// each session ends as it must, and the server that runs throughout has at the end what it
// had at the beginning.
func TestSoak(t *testing.T) {
	testenv.Program(t, "redis-server")
	s := newSoak(options{seed: *seed, length: 12 * time.Second, readers: 40, hostile: len(kinds), pause: 1500 * time.Millisecond})
	r, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Text())
	for _, wrong := range r.Wrong {
		t.Error(wrong)
	}
	for _, k := range r.Kinds {
		if k.Survived == 0 && runtime.GOOS == "linux" {
			t.Errorf("no client that %s has reached a server", k.Name)
		}
	}
	if r.Logs == 0 || r.Killed == 0 || r.Left == 0 || r.Herds == 0 {
		t.Error("some accident has not happened")
	}
	if r.Received < r.Published {
		t.Errorf("the readers received %d events, want more than the %d that were published", r.Received, r.Published)
	}
	if err := r.Write(t.TempDir()); err != nil {
		t.Error(err)
	}
}

// An event is its number, and nothing else is.
func TestEvents(t *testing.T) {
	for _, n := range []int64{1, 2, 199, 200, 12345} {
		e := eventOf(n)
		if got, ok := numberOf(e); got != n || !ok {
			t.Errorf("event %d: got the number %d, %v", n, got, ok)
		}
		e.Data += " "
		if _, ok := numberOf(e); ok {
			t.Errorf("event %d with a byte more has a number", n)
		}
	}
}

// The code of the document is the server's.
func TestDocument(t *testing.T) { testenv.CodeOf(t, "../../docs/reliability.md", "*.go") }
