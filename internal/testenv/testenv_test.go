package testenv_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A fake is a test that records how it has ended.
type fake struct {
	testing.TB

	end chan<- string
}

func (f fake) Helper() {}

func (f fake) Skip(...any) {
	f.end <- "skipped"
	runtime.Goexit()
}

func (f fake) Fatalf(string, ...any) {
	f.end <- "failed"
	runtime.Goexit()
}

// end returns how a test that runs f ends.
func end(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	ends := make(chan string, 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(fake{t, ends})
		ends <- "passed"
	}()
	<-done
	return <-ends
}

func TestProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("programs have other names there")
	}
	root := t.TempDir()
	for _, path := range []string{"bin/both", "sbin/both", "sbin/daemon"} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o700); err != nil { //nolint:gosec // it is a program
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(root, "bin"))
	both := []string{filepath.Join(root, "bin/both"), filepath.Join(root, "sbin/both")}
	if got := testenv.Find("none", "both"); !slices.Equal(got, both) {
		t.Errorf("got %q, want %q", got, both)
	}
	if got, want := testenv.Program(t, "none", "daemon"), filepath.Join(root, "sbin/daemon"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, test := range []struct{ ci, program, want string }{
		{"", "both", "passed"},
		{"", "none", "skipped"},
		{"true", "both", "passed"},
		{"true", "none", "failed"},
	} {
		t.Setenv("CI", test.ci)
		if got := end(t, func(t testing.TB) { testenv.Program(t, test.program) }); got != test.want {
			t.Errorf("CI=%s and a test that needs %s: got %s, want %s", test.ci, test.program, got, test.want)
		}
	}
}
