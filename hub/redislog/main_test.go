package redislog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logged)
	testenv.ShareCPUs()
	testenv.Parallel()
	ssetest.Main(withServer{m})
}

// withServer runs the tests with a server for the examples, which is at REDIS_ADDR.
type withServer struct{ *testing.M }

func (m withServer) Run() int {
	flag.Parse()
	if len(testenv.Find("redis-server")) == 0 {
		const examples = "^Example" // they cannot skip themselves; TestExamples says why they are left out
		skip := flag.Lookup("test.skip").Value
		if others := skip.String(); others == "" {
			_ = skip.Set(examples)
		} else {
			_ = skip.Set(others + "|" + examples)
		}
		return m.M.Run()
	}
	var s setting
	defer s.takeDown()
	if err := os.Setenv("REDIS_ADDR", serve(&s).addr); err != nil {
		panic(err)
	}
	return m.M.Run()
}

// The examples run where a server can be had.
func TestExamples(t *testing.T) { testenv.Program(t, "redis-server") }

// A setting is a testing.TB for what is there before the tests.
type setting struct {
	testing.TB

	cleanups []func()
}

func (*setting) Helper() {}

func (*setting) Context() context.Context { return context.Background() }

func (*setting) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (*setting) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (s *setting) TempDir() string {
	dir, err := os.MkdirTemp("", "redislog")
	if err != nil {
		panic(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *setting) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *setting) takeDown() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

// logged is what go-redis has written to the log of the whole process.
var logged journal

type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Printf(_ context.Context, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// take returns the lines, and forgets them.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// patience is how long a test waits for something that should come soon.
const patience = time.Minute

// soon returns a context that ends after patience.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A server is a redis-server that a test has started.
type server struct {
	t    testing.TB
	addr string
	dir  string
	args []string
	run  *exec.Cmd
	gone chan struct{} // closed when it has ended

	config string // a file, which only a sentinel needs
}

// durable are the arguments of a server that keeps everything that it has acknowledged.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// serve starts a server. It is stopped at the end of the test.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	testenv.Program(t, "redis-server")
	return (&server{t: t, dir: t.TempDir(), args: args}).serve()
}

func (s *server) serve() *server {
	t := s.t
	t.Helper()
	t.Cleanup(func() {
		if s.run != nil {
			s.kill()
		}
	})
	for range 10 { // a cluster's server listens at a second port, which may be taken
		if s.addr = testenv.Addr(t); s.start() {
			return s
		}
	}
	t.Fatalf("redis-server does not start; its log:\n%s", s.log())
	return nil
}

func (s *server) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}

// start starts the server at its address. It reports whether it has started.
func (s *server) start() bool {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--logfile", "log"}
	if s.config != "" {
		args = slices.Insert(args, 0, s.config)
	} else {
		args = append(args, "--save", "")
	}
	args = append(args, s.args...)
	run := exec.Command("redis-server", args...) //nolint:noctx // it ends with the test
	dieTogether(run)
	started, gone := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the server must not outlive this thread
		defer runtime.UnlockOSThread()
		defer close(gone)
		err := run.Start()
		started <- err
		if err == nil {
			_ = run.Wait()
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.run, s.gone = run, gone
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-s.gone:
			return false
		case <-time.After(5 * time.Millisecond):
		}
		if s.answers() {
			return true
		}
	}
	s.t.Fatalf("redis-server does not answer; its log:\n%s", s.log())
	return false
}

// answers reports whether this server answers, and not another one at its address.
func (s *server) answers() bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, "INFO server\r\nQUIT\r\n")
	answer, _ := io.ReadAll(conn)
	return strings.Contains(string(answer), fmt.Sprintf("process_id:%d\r\n", s.run.Process.Pid)) ||
		strings.HasPrefix(string(answer), "-NOAUTH")
}

// restart starts a server that was killed.
func (s *server) restart() {
	s.t.Helper()
	if !s.start() {
		s.t.Fatalf("redis-server does not start again; its log:\n%s", s.log())
	}
}

func (s *server) restartEmpty() {
	s.t.Helper()
	s.dir = s.t.TempDir()
	s.restart()
}

// kill ends the server at once.
func (s *server) kill() {
	_ = s.run.Process.Kill()
	<-s.gone
	s.run = nil
}

// open returns a log on the server, which may be as slow as a machine that stalls.
func (s *server) open(opts ...redislog.Option) *redislog.Log {
	return openWith(s.t, &redis.UniversalOptions{Addrs: []string{s.addr}, ReadTimeout: patience}, opts...)
}

func open(t testing.TB, addr string) *redislog.Log {
	return openWith(t, &redis.UniversalOptions{Addrs: []string{addr}})
}

func openWith(t testing.TB, options *redis.UniversalOptions, opts ...redislog.Option) *redislog.Log {
	l := redislog.New(options, "events", opts...)
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *redislog.Log) {
	if err := l.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

// client returns a plain client of the server.
func (s *server) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}
