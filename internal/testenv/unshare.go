package testenv

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Unshared runs the test that calls it once more, in a process whose mounts nobody else sees,
// and which end with it. It reports whether this is that process; if not, the test has nothing
// more to do. Where disks cannot be mounted, it skips the test, in CI too: CI may run in a
// container, which nothing that is installed can change.
func Unshared(t *testing.T) bool {
	t.Helper()
	const child = "TESTENV_UNSHARED"
	if os.Getenv(child) == t.Name() {
		return true
	}
	unshare := Program(t, "unshare")
	run := func(args ...string) (said string, err error) {
		args = append([]string{"--mount", "--propagation", "private"}, args...)
		cmd := exec.Command(unshare, args...) //nolint:gosec,noctx // fixed arguments
		cmd.Env = append(os.Environ(), child+"="+t.Name())
		out, err := cmd.CombinedOutput()
		return string(out), err //nolint:wrapcheck // it is shown
	}
	if said, err := run("mount", "-t", "tmpfs", "none", t.TempDir()); err != nil {
		t.Skipf("no disk can be mounted here: run the test as root, outside of a container: %v\n%s", err, said)
	}
	said, err := run(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=8m")
	if err != nil || !strings.Contains(said, "--- PASS: "+t.Name()) {
		t.Errorf("in a process of its own: %v\n%s", err, said)
	}
	return false
}
