//go:build linux

package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The Python apps that examples/migrate has, and the frameworks that each was
// ported to.
var (
	originals = []string{"flask", "django", "drf"}
	ports     = []string{"gin", "echo", "fiber"}
)

// findPython returns an interpreter that has what the originals import. A test
// without one is skipped, but not in CI.
func findPython(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import flask, django, rest_framework, gunicorn").Run() == nil {
			return name
		}
	}
	const missing = "no python3 that has Flask, Django, Django REST framework and Gunicorn: on Debian they are " +
		"python3-flask, python3-django, python3-djangorestframework and gunicorn"
	if os.Getenv("CI") == "true" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

// A migrated is an original or a port, in processes of its own.
type migrated struct {
	name  string
	app   string // that it is, or is a port of
	url   string
	cmd   *exec.Cmd // leads a process group
	says  *transcript
	ended chan struct{} // closed when the process has
}

// startOriginal runs an app under Gunicorn, which is handed a listener.
func startOriginal(tb testing.TB, python, app string, threads int, tick time.Duration) *migrated {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = socket.Close() }()

	wsgi := "django.core.wsgi:get_wsgi_application()"
	if app == "flask" {
		wsgi = "app:app"
	}
	cmd := exec.Command(python, "-m", "gunicorn", "--bind", "fd://3", "--worker-class", "gthread", "--threads", fmt.Sprint(threads),
		"--worker-connections", fmt.Sprint(threads+100), wsgi) // those that are kept alive
	cmd.Dir = filepath.Join("..", "examples", "migrate", app)
	cmd.ExtraFiles = []*os.File{socket} // it is number 3
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "DJANGO_SETTINGS_MODULE=settings", fmt.Sprintf("TICK=%g", tick.Seconds()))
	return startServer(tb, app, app, "http://"+ln.Addr().String(), cmd)
}

// buildPort returns the program that has the ports of an app.
func buildPort(tb testing.TB, app string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), app)
	build := exec.Command("go", "build", "-o", path, "./examples/migrate/"+app)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func startPort(tb testing.TB, program, app, framework string, tick time.Duration) *migrated {
	tb.Helper()
	s := startServer(tb, framework, app, "", exec.Command(program, "-framework", framework, "-addr", "127.0.0.1:0", "-tick", tick.String()))
	if !s.says.wait(patience, func(said string) bool {
		s.url = regexp.MustCompile(`http://\S+`).FindString(said)
		return s.url != ""
	}) {
		tb.Fatalf("%s does not say where it listens", framework)
	}
	return s
}

func startServer(tb testing.TB, name, app, url string, cmd *exec.Cmd) *migrated {
	tb.Helper()
	s := &migrated{name: name, app: app, url: url, cmd: cmd, says: newTranscript(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = s.says, s.says
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() { defer close(s.ended); _ = cmd.Wait() }()
	tb.Cleanup(func() {
		s.kill(tb)
		if tb.Failed() {
			tb.Logf("%s says:\n%s", name, s.says)
		}
	})
	return s
}

// kill ends all processes of the server, and waits for that.
func (s *migrated) kill(tb testing.TB) {
	tb.Helper()
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	if !s.endsWithin(patience) {
		tb.Errorf("%s has been killed and has not ended", s.name)
	}
}

func (s *migrated) endsWithin(d time.Duration) bool {
	select {
	case <-s.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// tell posts a notice.
func (s *migrated) tell(t *testing.T, text string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.PostForm(s.url+"/notice?token=123", url.Values{"text": {text}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, want := res.StatusCode, 204; got != want {
		t.Fatalf("notice: got status %d, want %d", got, want)
	}
}

// A transcript is what a process has said until now.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed when there is more
}

func newTranscript() *transcript { return &transcript{more: make(chan struct{})} }

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait waits until the text pleases, for d at most, and reports whether it did.
func (o *transcript) wait(d time.Duration, pleases func(said string) bool) bool {
	timeout := time.After(d)
	for {
		o.mu.Lock()
		said, more := o.text.String(), o.more
		o.mu.Unlock()
		if pleases(said) {
			return true
		}
		select {
		case <-more:
		case <-timeout:
			return false
		}
	}
}

// left reports whether the generator of that user is cleaned up within d.
func (s *migrated) left(user string, d time.Duration) bool {
	return s.says.wait(d, func(said string) bool { return strings.Contains(said, user+" has left") })
}
