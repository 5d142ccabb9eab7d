package testenv

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

const (
	patience = time.Minute
	moment   = 50 * time.Millisecond // in which nothing must happen
)

// locked locks dir as wait does, and sends what it gets.
func locked(dir string, alone bool) <-chan io.Closer {
	c := make(chan io.Closer, 1)
	go func() { c <- wait(dir, alone, patience) }()
	return c
}

func mustWait(t *testing.T, c <-chan io.Closer) {
	t.Helper()
	select {
	case <-c:
		t.Error("the CPUs were given at once")
	case <-time.After(moment):
	}
}

func mustGet(t *testing.T, c <-chan io.Closer) io.Closer {
	t.Helper()
	select {
	case l := <-c:
		return l
	case <-time.After(patience):
		t.Fatal("the CPUs were not given")
		return nil
	}
}

func TestCPUs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system has no flock")
	}
	dir := t.TempDir()
	first, second := mustGet(t, locked(dir, false)), mustGet(t, locked(dir, false))
	alone := locked(dir, true)
	mustWait(t, alone)
	late := locked(dir, false) // waits for that which waits
	mustWait(t, late)
	_ = first.Close()
	mustWait(t, alone)
	_ = second.Close()
	l := mustGet(t, alone)
	mustWait(t, late)
	_ = l.Close()
	_ = mustGet(t, late).Close()
}

// A test that starts its own program again does not wait for itself.
func TestCPUsOfChild(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(envHeld, "")
	ShareCPUs()
	_ = lockOfProcess.Close()
	if os.Getenv(envHeld) == "" {
		t.Error("a child would wait")
	}
	lockOfProcess = nil
	ShareCPUs()
	if lockOfProcess != nil {
		t.Error("a child waits")
	}
}

// Tests run in the end, whoever holds the CPUs.
func TestCPUsNeverFree(t *testing.T) {
	dir := t.TempDir()
	l := mustGet(t, locked(dir, true))
	_ = wait(dir, false, moment).Close()
	_ = l.Close()
}

// A folder in which nothing can be locked stops nobody.
func TestCPUsWithoutFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	mustGet(t, locked(dir, true))
	mustGet(t, locked(dir, true))
}
