package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// The test binary is also a server, in a process that can be killed, if this is set
// to an address and a directory.
const envServer = "NATSLOG_TEST_SERVER"

func TestMain(m *testing.M) {
	if value := os.Getenv(envServer); value != "" {
		serve(value)
		return
	}
	testenv.ShareCPUs()
	testenv.Parallel()
	if testenv.Race { // the servers need much CPU
		testenv.AtOnce(8)
	}
	ssetest.Main(withServer{m})
}

// withServer runs the tests with a server for the examples, which is at NATS_URL.
type withServer struct{ *testing.M }

func (m withServer) Run() int {
	dir, err := os.MkdirTemp("", "natslog")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = sync.OnceValues(func() (string, error) { return build(dir) })
	s, err := start("127.0.0.1:0", server.Options{JetStream: true, StoreDir: dir})
	if err != nil {
		panic(err)
	}
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if err := os.Setenv("NATS_URL", s.ClientURL()); err != nil {
		panic(err)
	}
	return m.M.Run()
}

// program returns the path of the program that is a server.
var program func() (string, error)

// build returns the test binary's path. The race detector looks at the server, too, which then
// takes three times the CPU; so with it, the server is the same binary without it.
func build(dir string) (string, error) {
	if !testenv.Race {
		return os.Args[0], nil
	}
	name := filepath.Join(dir, "server.exe")
	out, err := exec.Command("go", "test", "-c", "-race=false", "-vet=off", "-o", name).CombinedOutput() //nolint:noctx // it ends
	if err != nil {
		return "", fmt.Errorf("go test -c: %w: %s", err, out)
	}
	return name, nil
}

// serve runs a server until its standard input ends.
func serve(value string) {
	addr, dir, _ := strings.Cut(value, " ")
	s, err := start(addr, server.Options{
		JetStream: true, StoreDir: dir, SyncAlways: true,
		JetStreamMaxStore: 1 << 40, // only the disk bounds it
	})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, s.ClientURL())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// start starts a server. Port 0 stands for any free one.
func start(addr string, o server.Options) (*server.Server, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	o.Host, o.Port, o.NoLog, o.NoSigs = at.Addr().String(), int(at.Port()), true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.AuthTimeout = patience.Seconds() // the machine may stall
	s, err := server.NewServer(&o)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(2 * patience) {
		return nil, fmt.Errorf("the server is not ready: somebody else may listen at %s", addr)
	}
	return s, nil
}

// runServer runs a server in this process until the end of the test.
func runServer(t testing.TB, o server.Options) *server.Server {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := start(testenv.Addr(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// A process is a server in its own process.
type process struct {
	t    testing.TB
	dir  string
	addr string
	url  string
	cmd  *exec.Cmd
}

func spawn(t testing.TB) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), addr: testenv.Addr(t)}
	p.start()
	return p
}

func (p *process) start() {
	p.t.Helper()
	name, err := program()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(name) //nolint:noctx // until it is killed
	p.cmd.Env = append(os.Environ(), envServer+"="+p.addr+" "+p.dir)
	if _, err := p.cmd.StdinPipe(); err != nil { // it ends with this process
		p.t.Fatal(err)
	}
	p.url = strings.TrimSpace(testenv.Start(p.t, p.cmd, "://"))
}

// kill kills the server with SIGKILL.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// connect connects until the end of the test.
func connect(t testing.TB, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	opts = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, opts...)
	closed := make(chan struct{})
	opts = append(opts, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	nc, err := nats.Connect(url, opts...)
	var late net.Error
	for range 10 { // the machine may have stalled
		if !errors.As(err, &late) || !late.Timeout() {
			break
		}
		nc, err = nats.Connect(url, opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// open returns a log on its own server.
func open(t testing.TB, opts ...natslog.Option) (*natslog.Log, jetstream.JetStream) {
	t.Helper()
	js := connect(t, runServer(t, server.Options{JetStream: true}).ClientURL())
	return natslog.New(js, "events", opts...), js
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
