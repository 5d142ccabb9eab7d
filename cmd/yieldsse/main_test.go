package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// asProgram makes the test binary run as the program.
const asProgram = "YIELDSSE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testenv.ShareCPUs()
	testenv.Parallel()
	ssetest.Main(m)
}

// clock is a time that advances by a second with each call.
func clock() func() time.Time {
	t := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time {
		t = t.Add(time.Second)
		return t
	}
}

// try runs the program with its own clock, and returns the exit status.
func try(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader("from stdin"), stdout: &out, stderr: &errs, now: clock(), patience: time.Minute}
	status = a.run(ctx, args)
	return out.String(), errs.String(), status
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%v\nwant\n%v", what, got, want)
	}
}

// serve serves a stream and returns its URL.
func serve(t *testing.T, view func(r *http.Request) core.Stream, opts ...core.Option) string {
	t.Helper()
	return ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream { return view(r) }, opts...))
}

// events is a stream of these events, which then ends.
func events(all ...core.Event) func(*http.Request) core.Stream {
	return func(*http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for _, e := range all {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// endless is a stream of these events, which then waits for the client's end.
func endless(all ...core.Event) func(*http.Request) core.Stream {
	return func(r *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for e, err := range events(all...)(r) {
				if !yield(e, err) {
					return
				}
			}
			<-r.Context().Done()
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		want string
	}{
		{"an unknown command", "tell", `there is no command "tell": see yieldsse --help`},
		{"an unknown flag", "tail --colour x http://a/", `unknown flag: --colour: see yieldsse tail --help`},
		{"an unknown flag with one dash", "tail -foo http://a/", `unknown flag: -foo: see yieldsse tail --help`},
		{"an unknown flag with a value", "check -kfoo=bar http://a/", `unknown flag: -kfoo: see yieldsse check --help`},
		{"an unknown letter", "bench -x http://a/", `unknown flag: -x: see yieldsse bench --help`},
		{"another command's flag", "tail -conns 5 http://a/", `unknown flag: -conns: see yieldsse tail --help`},
		{"an unknown flag without a command", "-foo", `unknown flag: -foo: see yieldsse --help`},
		{"a control character", "tail --\x1b[2J", `unknown flag: --\x1b[2J: see yieldsse tail --help`},
		{"no URL", "tail", `yieldsse tail needs exactly one URL, got 0 arguments: see yieldsse tail --help`},
		{"two URLs", "bench http://a/ http://b/", `yieldsse bench needs exactly one URL, got 2 arguments: see yieldsse bench --help`},
		{"no scheme", "tail localhost:8080/x", `the URL "localhost:8080/x" has no scheme: try http://localhost:8080/x`},
		{"an address", "bench 127.0.0.1:8080", `the URL "127.0.0.1:8080" has no scheme: try http://127.0.0.1:8080`},
		{"another scheme", "tail ftp://a/", `the URL "ftp://a/" has the scheme "ftp": only http and https are supported`},
		{"no host", "tail http:///a", `the URL "http:///a" has no host`},
		{"a bad port", "tail http://a:b/", `the URL "http://a:b/" is not valid: invalid port ":b" after host`},
		{"a bad header", "tail -H Name http://a/", `-H "Name" is not a header: it must be like "Name: value"`},
		{"a bad header name", "tail -H a(b:c http://a/", `-H "a(b:c" is not a header: it must be like "Name: value"`},
		{"a missing file", "tail -d @/no/such http://a/", `-d @/no/such: open /no/such: no such file or directory`},
		{"a bad method", "tail -X a@b http://a/", `-X "a@b" is not a method: it must be like GET or POST`},
		{"a bad colour", "tail -color red http://a/", `--color is "red": it must be auto, always or never`},
		{"a bad count", "tail -n -1 http://a/", `-n is -1: it must be 0 (no limit) or more`},
		{"no streams", "bench -conns 0 http://a/", `-conns is 0: it must be 1 or more`},
		{"no connections", "bench -dials 0 http://a/", `--dials is 0: it must be 1 or more`},
		{"no time", "bench -for 0s http://a/", `-for is 0s: it must be more than 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, status := try(t, strings.Fields(c.args)...)
			equal(t, "stdout", stdout, "")
			equal(t, "stderr", stderr, "yieldsse: "+c.want+"\n")
			equal(t, "status", status, statusUsage)
		})
	}
}

// Arguments with a space or a line break.
func TestUsageOfUnusualValues(t *testing.T) {
	const id = "--last-event-id is %s: a header cannot carry control characters"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"an empty URL", []string{"tail", ""}, "the URL is empty: it must be like https://example.com/stream"},
		{"a space in the host", []string{"bench", "http://a b/"}, `the URL "http://a b/" is not valid: invalid character " " in host name`},
		{"a line break in an ID", []string{"tail", "-last-event-id", "a\nb", "http://a/"}, fmt.Sprintf(id, `"a\nb"`)},
		{"a DEL in an ID", []string{"tail", "-last-event-id", "\x7f", "http://a/"}, fmt.Sprintf(id, `"\x7f"`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, status := try(t, c.args...)
			equal(t, "stdout", stdout, "")
			equal(t, "stderr", stderr, "yieldsse: "+c.want+"\n")
			equal(t, "status", status, statusUsage)
		})
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"-version", "--version"} {
		stdout, stderr, status := try(t, flag)
		equal(t, "stdout of "+flag, stdout, "yieldsse version "+version()+"\n")
		equal(t, "stderr of "+flag, stderr, "")
		equal(t, "status of "+flag, status, statusOK)
	}
}

func TestHelp(t *testing.T) {
	t.Run("asked for", func(t *testing.T) {
		for _, args := range []string{"--help", "-help", "-h", "help tail", "tail -help", "bench --help"} {
			stdout, stderr, status := try(t, strings.Fields(args)...)
			if !strings.Contains(stdout, "Usage:") {
				t.Errorf("%s: got no usage on stdout but %q", args, stdout)
			}
			equal(t, "stderr of "+args, stderr, "")
			equal(t, "status of "+args, status, statusOK)
		}
	})
	t.Run("without arguments", func(t *testing.T) {
		stdout, stderr, status := try(t)
		if !strings.Contains(stderr, "Usage:") {
			t.Errorf("got no usage on stderr but %q", stderr)
		}
		equal(t, "stdout", stdout, "")
		equal(t, "status", status, statusUsage)
	})
}

// program starts the program as a process.
func program(t *testing.T, args ...string) (cmd *exec.Cmd, stdout io.Reader, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0], args...) //nolint:gosec // the test binary
	cmd.Env = append(os.Environ(), asProgram+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stdout, stderr
}

func TestInterruptedProcess(t *testing.T) {
	cmd, stdout, stderr := program(t, "tail", serve(t, endless(core.Event{Data: "a"})))
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Skip(err) // Windows
	}
	_, _ = io.Copy(io.Discard, stdout)
	_ = cmd.Wait()
	equal(t, "status", cmd.ProcessState.ExitCode(), statusInterrupted)
	equal(t, "stderr", stderr.String(), connectedOwn)
}

// A reader that goes away, such as head, ends the program without an error message.
func TestClosedPipe(t *testing.T) {
	flood := func(r *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for open := true; open; {
				open = yield(core.Event{Data: "a"}, nil)
			}
		}
	}
	const connected = connectedOwn

	t.Run("of a process", func(t *testing.T) {
		cmd, stdout, stderr := program(t, "tail", serve(t, flood))
		if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = stdout.(io.Closer).Close()
		_ = cmd.Wait()
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || status.Signal() != syscall.SIGPIPE {
			equal(t, "status", cmd.ProcessState.ExitCode(), statusOK)
		}
		equal(t, "stderr", stderr.String(), connected)
	})
	t.Run("of another kind", func(t *testing.T) {
		r, w := io.Pipe()
		_ = r.Close()
		var stderr bytes.Buffer
		status := run(t.Context(), []string{"tail", serve(t, flood)}, nil, w, &stderr)
		equal(t, "status", status, statusOK)
		equal(t, "stderr", stderr.String(), connected)
	})
	t.Run("of a full disk", func(t *testing.T) {
		var stderr bytes.Buffer
		status := run(t.Context(), []string{"tail", serve(t, flood)}, nil, full{}, &stderr)
		equal(t, "status", status, statusFailure)
		equal(t, "stderr", stderr.String(), connected+"yieldsse: cannot write the output: no space left on device\n")
	})
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// null returns a device that is not a terminal.
func null(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
