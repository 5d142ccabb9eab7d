// Package process runs a server in a separate process, so that its use of resources can
// be measured apart from its client's.
//
// The process runs this same program: [Main] turns it into the server. Parent and child
// talk over the child's standard input and output, one command and one answer at a time.
package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

const nameEnv = "YIELDSSE_BENCH_SERVER"

// ProfileEnv is the environment variable that names a folder for CPU and heap profiles of
// the servers, which then run slower.
const ProfileEnv = "YIELDSSE_BENCH_PROFILE"

// Usage is what a process has used since its start.
type Usage struct {
	CPU    time.Duration // user and system
	Allocs uint64        // objects on the heap
	Writes uint64        // write calls
}

// Sub returns what was used between v and u.
func (u Usage) Sub(v Usage) Usage {
	return Usage{CPU: u.CPU - v.CPU, Allocs: u.Allocs - v.Allocs, Writes: u.Writes - v.Writes}
}

// Memory is what a process holds after garbage has been collected and returned to the
// system.
type Memory struct {
	RSS        int64 // bytes that are resident
	Heap       int64 // bytes in heap spans in use
	Stack      int64 // bytes in stack spans in use
	Goroutines int64
}

// Add returns m + v.
func (m Memory) Add(v Memory) Memory {
	return Memory{
		RSS: m.RSS + v.RSS, Heap: m.Heap + v.Heap, Stack: m.Stack + v.Stack,
		Goroutines: m.Goroutines + v.Goroutines,
	}
}

// Sub returns m - v.
func (m Memory) Sub(v Memory) Memory {
	return Memory{
		RSS: m.RSS - v.RSS, Heap: m.Heap - v.Heap, Stack: m.Stack - v.Stack,
		Goroutines: m.Goroutines - v.Goroutines,
	}
}

// A Process is a running server. Its methods are for one goroutine.
type Process struct {
	Name string
	Addr netip.AddrPort // where it listens

	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// Start runs the server of that name, with env added to the environment of this process.
// The caller must call Stop.
func Start(name string, env ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	p := &Process{Name: name, cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), nameEnv+"="+name, "GOMAXPROCS="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	if err := p.out.Decode(&p.Addr); err != nil {
		return nil, errors.Join(fmt.Errorf("process: server %s did not come up: %w", name, err), p.Stop())
	}
	return p, nil
}

// Usage returns what the process has used since its start.
func (p *Process) Usage() (Usage, error) { return ask[Usage](p, "usage") }

// Memory makes the process collect its garbage, and returns what is left.
func (p *Process) Memory() (Memory, error) { return ask[Memory](p, "memory") }

func ask[T any](p *Process, command string) (answer T, err error) {
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		return answer, fmt.Errorf("process: %s: %w", command, err)
	}
	if err := p.out.Decode(&answer); err != nil {
		return answer, fmt.Errorf("process: %s: %w", command, err)
	}
	return answer, nil
}

// Settle waits until the process has nothing more to do, but not longer than about two
// seconds.
func (p *Process) Settle() error {
	const (
		tries = 200
		pause = 10 * time.Millisecond
		rest  = time.Millisecond // an idle process uses less than this in a pause
	)
	before, err := p.Usage()
	for range tries {
		if err != nil {
			return err
		}
		<-time.After(pause)
		var after Usage
		after, err = p.Usage()
		if after.Sub(before).CPU < rest {
			return err
		}
		before = after
	}
	return err
}

// Stop ends the process and waits for it. It kills a process that does not end within a
// minute.
func (p *Process) Stop() error {
	_ = p.in.Close()
	defer time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() }).Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("process: %w", err)
	}
	return nil
}

// Main returns at once in the parent. In a process that [Start] started, it serves until
// the parent calls Stop or ends, and does not return.
func Main(serve func(name string, ln net.Listener) error) {
	name, ok := os.LookupEnv(nameEnv)
	if !ok {
		return
	}
	if err := child(name, serve); err != nil {
		fmt.Fprintf(os.Stderr, "bench server %s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(name string, serve func(name string, ln net.Listener) error) error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stopProfile, err := profile(name)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(name, ln) }()

	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(ln.Addr().String()); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		select {
		case err := <-failed:
			return fmt.Errorf("stopped serving: %w", err)
		default:
		}
		var answer any
		if in.Text() == "memory" {
			answer, err = memory()
		} else {
			answer, err = usage()
		}
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return stopProfile()
}

func usage() (Usage, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	cpu, err := cpuTime()
	if err != nil {
		return Usage{}, err
	}
	writes, err := Field("/proc/self/io", "syscw:")
	return Usage{CPU: cpu, Allocs: m.Mallocs, Writes: uint64(writes)}, err
}

func memory() (Memory, error) {
	// It takes two collections to free pools and shrunken stacks.
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	kB, err := Field("/proc/self/status", "VmRSS:")
	return Memory{
		RSS: kB << 10, Heap: int64(m.HeapInuse), Stack: int64(m.StackInuse),
		Goroutines: int64(runtime.NumGoroutine()),
	}, err
}

// Field reads the number after a name at the beginning of a line in a file of /proc.
func Field(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			var n int64
			_, err := fmt.Sscan(value, &n)
			return n, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}

// profile starts the profiles of this process, if ProfileEnv is set.
func profile(name string) (stop func() error, err error) {
	dir := os.Getenv(ProfileEnv)
	if dir == "" {
		return func() error { return nil }, nil
	}
	base := filepath.Join(dir, fmt.Sprintf("%s-%d", name, os.Getpid()))
	runtime.MemProfileRate = 4 << 10
	cpu, err := os.Create(base + ".cpu")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		heap, err := os.Create(base + ".heap")
		if err != nil {
			return err
		}
		return errors.Join(cpu.Close(), pprof.WriteHeapProfile(heap), heap.Close())
	}, nil
}
