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
	unshare := []string{Program(t, "unshare"), "--mount", "--propagation", "private"}
	probe := append(unshare[1:], "mount", "-t", "tmpfs", "none", t.TempDir())         //nolint:gocritic // used once
	if said, err := exec.Command(unshare[0], probe...).CombinedOutput(); err != nil { //nolint:gosec,noctx // fixed arguments
		t.Skipf("no disk can be mounted here: run the test as root, outside of a container: %v\n%s", err, said)
	}
	again := append(unshare[1:], os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=8m") //nolint:gocritic // likewise
	cmd := exec.Command(unshare[0], again...)                                                           //nolint:gosec,noctx // this test
	cmd.Env = append(os.Environ(), child+"="+t.Name())
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
		t.Errorf("in a process of its own: %v\n%s", err, said)
	}
	return false
}
