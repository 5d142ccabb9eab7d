package hubtest

import (
	"testing"

	"github.com/yieldsse/yieldsse/hub"
)

// A Backend is a kind of log, which [Run] is to test with the hubs on it.
type Backend struct {
	// Start starts a server for one test, with nothing in it. It is stopped in a
	// Cleanup of t's, which runs after those of what is opened there.
	Start func(t testing.TB) Server

	// Programs is how many random programs are run, each on a server of its own.
	// Zero stands for 30.
	Programs int
}

// A Server is where a log is. All but Open may be missing: then the tests that
// need it are skipped. Without Open there is no log, but one plain hub.
type Server struct {
	// Open returns the server's log as a new process sees it, with connections of
	// its own to addr: that is Addr, or what stands in front of it. It need not
	// have connected yet; if the server does not answer, the log's methods say so.
	//
	// The suite calls die when the hub was shut down, or before that to see what
	// happens when it has died: it breaks off the log's connections and lets go of
	// all that Open has begun. It may be called twice.
	Open func(t testing.TB, addr string) (l hub.Log, die func())

	// Addr is the server's address, for a [Proxy] in front of it.
	Addr string

	// Kill ends the server at once, as SIGKILL does, and Restart starts it again
	// at Addr, with all that it had. RestartEmpty starts it without. They return
	// when the server has ended, or answers.
	Kill, Restart, RestartEmpty func()

	// Trim drops all but the newest n entries of the log.
	Trim func(n int)

	// Delete drops the entry of that ID, if the log has it.
	Delete func(id string)
}

// Run tests the hubs on logs of a kind: what several processes see that share one,
// and what they see of its server's failures. What is published is whole, in order
// and there once, on each of them, or a gap event says where it is not.
//
// Each test starts a server of its own. The package's tests should end with
// ssetest.Main, which looks for goroutines that were left.
func Run(t *testing.T, b Backend) {
	t.Helper()
	t.Run("random programs", func(t *testing.T) {
		t.Parallel()
		randomPrograms(t, b)
	})
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if c.parallel {
				t.Parallel()
			}
			c.check(start(t, b))
		})
	}
}
