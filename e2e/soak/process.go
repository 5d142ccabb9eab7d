package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
)

// patience bounds each wait for something that should come soon.
const patience = 2 * time.Minute

// A process is a server. Its listeners are this process's, so its addresses stay when it is
// restarted, and clients that come in the meantime wait.
type process struct {
	addrs     []string // of the hosts
	env       []string // of the process
	listeners []*os.File
	up        atomic.Bool
	starts    atomic.Int64 // how often it was started

	mu   sync.Mutex // one question at a time
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.ReadCloser
	said *tail
}

// startProcess starts a server over the log at an address, or in "memory". The caller calls
// stop, and then close.
func startProcess(log string, env ...string) (*process, error) {
	p := &process{env: append(env, envServer+"="+log)}
	limit := limitUnacknowledged
	if slices.Contains(env, patiently) {
		limit = nil
	}
	for range hosts {
		ln, err := listener(limit)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.addrs = append(p.addrs, ln.Addr().String())
		file, err := ln.File()
		_ = ln.Close() // the file stays
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.listeners = append(p.listeners, file)
	}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// start starts the process, again if it was stopped.
func (p *process) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = new(tail)
	p.cmd = exec.Command(self) //nolint:gosec // this program
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.ExtraFiles, p.cmd.Stderr = p.listeners, p.said
	dieTogether(p.cmd)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.starts.Add(1)
	p.up.Store(true)
	return nil
}

// usage asks the process what it has, or tells it to do something first.
func (p *process) usage(question string) (u Usage, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if out, ok := p.out.(interface{ SetReadDeadline(t time.Time) error }); ok {
		_ = out.SetReadDeadline(time.Now().Add(patience))
	}
	_, err = io.WriteString(p.in, question+"\n")
	if err == nil {
		err = json.NewDecoder(p.out).Decode(&u)
	}
	if err != nil && p.up.Load() {
		return u, fmt.Errorf("the server does not answer: %w\n%s", err, p.said)
	}
	if u.Failed != "" {
		return u, fmt.Errorf("the server was told to %s: %s", question, u.Failed)
	}
	return u, nil
}

// stop ends the process with a signal. One that is told to leave and does not do so cleanly
// is an error.
func (p *process) stop(signal syscall.Signal) error {
	p.up.Store(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd.Process == nil {
		return nil // it could not be started
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("the server has ended by itself: %w\n%s", err, p.said)
	}
	kill := time.AfterFunc(2*leaveTime, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil && signal != syscall.SIGKILL {
		return fmt.Errorf("the server was told to leave: %w\n%s", err, p.said)
	}
	return nil
}

// close closes the listeners.
func (p *process) close() (err error) {
	for _, ln := range p.listeners {
		err = errors.Join(err, ln.Close())
	}
	return err
}

// listener listens on loopback. control may be nil.
func listener(control func(network, addr string, conn syscall.RawConn) error) (*net.TCPListener, error) {
	ln, err := (&net.ListenConfig{Control: control}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil //nolint:forcetypeassert // it is one
}

// A redisLog is a Redis server that forgets nothing when it is killed.
type redisLog struct {
	addr string // of its socket
	dir  string
	path string // of the program
	cmd  *exec.Cmd
	said *tail
}

// startRedis starts Redis, with its data in dir.
func startRedis(ctx context.Context, path, dir string) (*redisLog, error) {
	r := &redisLog{addr: filepath.Join(dir, "redis.sock"), dir: dir, path: path}
	return r, r.start(ctx)
}

func (r *redisLog) start(ctx context.Context) error {
	r.said = new(tail)
	r.cmd = exec.Command(r.path, "--port", "0", "--unixsocket", r.addr, "--dir", r.dir, //nolint:gosec // Redis
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	r.cmd.Stdout = r.said
	dieTogether(r.cmd)
	if err := r.cmd.Start(); err != nil {
		return err
	}
	c := redis.NewClient(&redis.Options{Addr: r.addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range core.Every(ctx, 50*time.Millisecond) {
		if c.Ping(ctx).Err() == nil {
			return nil
		}
	}
	return fmt.Errorf("Redis does not answer: %w\n%s", ctx.Err(), r.said) //nolint:staticcheck // a name
}

func (r *redisLog) kill() {
	if r.cmd.Process == nil {
		return // it could not be started
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 64 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*most {
		t.text = append([]byte(nil), t.text[len(t.text)-most:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
