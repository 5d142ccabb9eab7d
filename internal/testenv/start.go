package testenv

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startTime is how long a program may take to start, and its output to end with it.
const startTime = time.Minute

// Start starts a program, and returns what it has printed when a line has the text ready.
// What it writes to stderr is in the test's log. At the end of the test it is killed,
// unless the test has waited for its end.
func Start(t testing.TB, cmd *exec.Cmd, ready string) (printed string) {
	t.Helper()
	cmd.Stderr = t.Output()
	cmd.WaitDelay = startTime // a process that it has started may still have its stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	late := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadString('\n')
		printed += line
		if err != nil {
			t.Fatalf("%s did not print %q, but: %s", cmd, ready, printed)
		}
		if strings.Contains(line, ready) {
			go func() { _, _ = io.Copy(io.Discard, lines) }() // until cmd.Wait
			return printed
		}
	}
}

// Redis starts a Redis server, which is killed at the end of the test, and returns its URL.
// Without redis-server it skips the test; see [Skip].
func Redis(t testing.TB) (url string) {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	Start(t, exec.Command(Program(t, "redis-server"), //nolint:gosec,noctx // it ends with the test
		"--port", "0", "--unixsocket", socket, "--dir", dir, "--save", ""), "eady to accept connections")
	return "unix://" + socket
}
