package hosttest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// Killed runs serve in another process, which it kills in the middle of a stream on
// HTTP/1.0. serve must serve [Endless] until then, or return why it cannot. The test must
// do nothing else, because the other process runs the same test.
func Killed(t *testing.T, serve func(net.Listener) error) {
	t.Helper()
	const child = "HOSTTEST_KILLED"
	if os.Getenv(child) != "" {
		ln, err := net.FileListener(os.NewFile(3, "listener"))
		if err == nil {
			err = serve(ln)
		}
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot pass sockets to another process")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File() //nolint:forcetypeassert // it is one
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$") //nolint:gosec // the test's own program
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()

	c, err := net.Dial("tcp", ln.Addr().String()) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := make([]byte, len(endlessBegins))
	if _, err := io.ReadFull(res.Body, got); string(got) != endlessBegins {
		t.Fatalf("got %q, %v, want %q", got, err, endlessBegins)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("the process was killed in the middle of a stream, and the client got %q and a clean end, want a broken one", got)
	}
}

// Endless is a stream that has one event and never ends.
func Endless(yield func(core.Event, error) bool) {
	yield(core.Event{Data: "before"}, nil)
	select {}
}

const endlessBegins = ": open\n\ndata: before\n\n"
