package testenv

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The go command tests several packages at once. A browser can take all CPUs for minutes,
// and then other tests run into their time limits. So a package that needs much CPU runs
// alone, and one that measures time says that it shares the CPUs.
//
// A wait ends after maxWait, and the tests run all the same: the reason could be a program
// that somebody has stopped.
const (
	maxWait = 8 * time.Minute
	pause   = 20 * time.Millisecond // between two looks
)

// TakeCPUs waits until no package that has called [ShareCPUs] or TakeCPUs runs. Others wait
// from then on, until this process ends. Call it in TestMain. Where the system has no flock
// it does nothing.
func TakeCPUs() { useCPUs(true) }

// ShareCPUs waits as long as a package that has called [TakeCPUs] runs or waits. From then
// on such packages wait until this process ends. Call it in TestMain.
func ShareCPUs() { useCPUs(false) }

// Main is a TestMain that only calls [ShareCPUs].
func Main(m *testing.M) {
	ShareCPUs()
	os.Exit(m.Run())
}

// lockOfProcess is held until the process ends.
var lockOfProcess io.Closer

// A process that a test starts does not wait for the test.
const envHeld = "YIELDSSE_TEST_CPUS"

func useCPUs(alone bool) {
	if os.Getenv(envHeld) != "" {
		return
	}
	lockOfProcess = wait(os.TempDir(), alone, maxWait)
	if err := os.Setenv(envHeld, "held"); err != nil {
		panic(err)
	}
}

// wait locks the CPUs by files in dir, alone or with others.
func wait(dir string, alone bool, atMost time.Duration) io.Closer {
	end := time.Now().Add(atMost)
	// Whoever waits holds the door, and nobody else gets in. Without it, packages that share
	// could come one after another, and one that wants to be alone would wait forever.
	door := lock(filepath.Join(dir, "yieldsse-test-door"), true, end)
	defer door.Close()
	return lock(filepath.Join(dir, "yieldsse-test-cpus"), alone, end)
}

// lock locks a file, alone or with others, until it is closed or the process ends. A file
// that cannot be locked before the end is as good as locked.
func lock(path string, alone bool, end time.Time) io.Closer {
	f, err := os.Open(path) //nolint:gosec // a fixed name
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644) //nolint:gosec // other users lock it too
	}
	if err != nil {
		return io.NopCloser(nil)
	}
	for !tryLock(f, alone) && time.Now().Before(end) {
		<-time.After(pause)
	}
	return f
}
