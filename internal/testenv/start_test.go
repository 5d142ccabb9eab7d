package testenv_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A program runs until the end of the test, and may print more. One that ends fails the
// test, which says what it has printed.
func TestStart(t *testing.T) {
	if os.Getenv("TESTENV_PROGRAM") != "" {
		fmt.Fprint(os.Stdout, "one\ntwo, ready\n")
		if os.Getenv("TESTENV_PROGRAM") == "runs" {
			for { // until it is killed
				fmt.Fprintln(os.Stdout, "more")
			}
		}
		os.Exit(1)
	}
	program := func(how string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStart$") //nolint:gosec // itself
		cmd.Env = append(os.Environ(), "TESTENV_PROGRAM="+how)
		return cmd
	}
	cmd := program("runs")
	t.Run("runs", func(t *testing.T) {
		if got, want := testenv.Start(t, cmd, "ready"), "one\ntwo, ready\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	if cmd.ProcessState == nil {
		t.Error("the program runs after the test")
	}
	got := hosttest.Failed(t, func(t testing.TB) { testenv.Start(t, program("ends"), "never") })
	if want := `did not print "never", but: one` + "\ntwo, ready\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at the end", got, want)
	}
}

func TestRedis(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no such sockets")
	}
	socket, ok := strings.CutPrefix(testenv.Redis(t), "unix://")
	if _, err := os.Stat(socket); !ok || err != nil {
		t.Errorf("got no socket: %v", err)
	}
}
