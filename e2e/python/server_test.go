//go:build linux

package python_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// The Python apps in examples/migrate, and the frameworks that each was ported to.
var (
	originals = []string{"flask", "django", "drf"}
	ports     = []string{"gin", "echo", "echo5", "fiber", "fiber3"}
)

// findPython returns an interpreter with the packages that the originals import. It skips
// tb if there is none; see [testenv.Skip].
func findPython(tb testing.TB) string {
	tb.Helper()
	for _, path := range testenv.Find("python3") {
		if exec.Command(path, "-c", "import flask, django, rest_framework, gunicorn").Run() == nil {
			return path
		}
	}
	testenv.Skip(tb, "no python3 that has Flask, Django, Django REST framework and Gunicorn: on Debian they are "+
		"python3-flask, python3-django, python3-djangorestframework and gunicorn")
	return ""
}

// A migrated is a running original or port.
type migrated struct {
	name  string
	app   string // the original
	url   string
	cmd   *exec.Cmd // leads a process group
	says  *programs.Transcript
	ended chan struct{} // closed when the process has ended
}

// startOriginal runs an app under Gunicorn, which inherits a listener.
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
		"--worker-connections", fmt.Sprint(threads+100), wsgi) // includes idle connections
	cmd.Dir = filepath.Join("..", "..", "examples", "migrate", app)
	cmd.ExtraFiles = []*os.File{socket} // it is number 3
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "DJANGO_SETTINGS_MODULE=settings", fmt.Sprintf("TICK=%g", tick.Seconds()))
	return startServer(tb, app, app, "http://"+ln.Addr().String(), cmd)
}

// buildPort builds the program with the ports of an app, and returns its path.
func buildPort(tb testing.TB, app string) string {
	tb.Helper()
	path, err := programs.Build("../../examples/migrate/"+app, tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

func startPort(tb testing.TB, program, app, framework string, tick time.Duration) *migrated {
	tb.Helper()
	s := startServer(tb, framework, app, "", exec.Command(program, "-framework", framework, "-addr", "127.0.0.1:0", "-tick", tick.String()))
	if !s.says.Wait(patience, func(said string) bool {
		s.url = regexp.MustCompile(`http://\S+`).FindString(said)
		return s.url != ""
	}) {
		tb.Fatalf("%s did not print its address", framework)
	}
	return s
}

func startServer(tb testing.TB, name, app, url string, cmd *exec.Cmd) *migrated {
	tb.Helper()
	s := &migrated{name: name, app: app, url: url, cmd: cmd, says: new(programs.Transcript), ended: make(chan struct{})}
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
			tb.Logf("output of %s:\n%s", name, s.says)
		}
	})
	return s
}

// kill kills all processes of the server, and waits for their end.
func (s *migrated) kill(tb testing.TB) {
	tb.Helper()
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	if !s.endsWithin(patience) {
		tb.Errorf("%s was killed but did not end", s.name)
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

// left reports whether that user's generator ends within d.
func (s *migrated) left(user string, d time.Duration) bool {
	return s.says.Wait(d, func(said string) bool { // a port quotes text from a request
		return strings.Contains(said, user+" has left") || strings.Contains(said, strconv.Quote(user)+" has left")
	})
}
