package hubtest

import (
	"testing"

	"github.com/yieldsse/yieldsse/hub"
)

// A Backend is a kind of log, which [Run] tests together with the hubs that use it.
type Backend struct {
	// Start starts an empty server for one test. It is stopped in a Cleanup of t's,
	// which runs after the Cleanups of what is opened there.
	Start func(t testing.TB) Server

	// Programs is how many random programs are run, each on a server of its own, if the
	// environment variable CI is "true". Elsewhere it is a tenth.
	// Zero stands for 30.
	Programs int
}

// A Server is where a log is. All fields but Open may be missing: tests that need
// them are skipped. Without Open there is no log, only one hub without a log.
type Server struct {
	// Open returns the server's log as a new process sees it, with connections of
	// its own to addr, which is Addr or the address of a proxy in front of it. It need not
	// have connected yet: if the server does not answer, the log's methods return the error.
	//
	// The suite calls die after the hub was shut down, or earlier, to see what
	// happens when the process has died: it breaks off the log's connections and frees
	// everything that Open has started. It may be called twice.
	Open func(t testing.TB, addr string) (l hub.Log, die func())

	// Addr is the server's address, for a [Proxy] in front of it.
	Addr string

	// Kill ends the server at once, as SIGKILL does, and Restart starts it again
	// at Addr, with everything that it had. RestartEmpty starts it without. They return
	// when the server has ended, or answers.
	Kill, Restart, RestartEmpty func()

	// Trim drops all but the newest n entries of the log.
	Trim func(n int)

	// Delete drops the entry of that ID, if the log has it.
	Delete func(id string)
}

// Run tests hubs on a kind of log: what several processes see that share one,
// and what they see of its server's failures. Every event that is published reaches each of
// them whole, in order and once, or a gap event says where events are missing.
//
// Each test starts a server of its own. The package's tests should end with
// ssetest.Main, which looks for leaked goroutines.
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
