// Package rolling_test restarts a fleet of servers behind a proxy one after the other.
package rolling_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

var (
	clients  = flag.Int("rolling.clients", 300, "how many clients there are")
	window   = flag.Duration("rolling.window", 2*time.Second, "over which a server's streams end")
	interval = flag.Duration("rolling.interval", 50*time.Millisecond, "between two events")
)

const (
	servers  = 3
	patience = time.Minute // besides the window
)

var program string // the path of the server

func TestMain(m *testing.M) {
	flag.Parse()
	testenv.ShareCPUs()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rolling-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if program, err = programs.Build("app", dir); err != nil {
		panic(err)
	}
	return m.Run()
}

// A restart is one after the other: no client misses an event or sees an error, and they do
// not come back together.
func TestRollingRestart(t *testing.T) {
	tests := []struct {
		name         string
		proxy        proxy
		notice       time.Duration // of the servers
		orchestrated bool          // something tells the proxy before the server
	}{
		{"nginx", nginx.with("fail_timeout=10s", "fail_timeout=1s"), 0, false},
		{"HAProxy", haproxy, time.Second, false},
		{"Kubernetes", haproxy.with("    retry-on conn-failure 503\n", ""), 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := testenv.Redis(t)
			f := &fleet{log: url, notice: tt.notice, args: []string{
				fmt.Sprint("-notice=", tt.notice), fmt.Sprint("-window=", *window), fmt.Sprint("-bound=", *window+patience),
			}}
			for range servers {
				f.add(t)
			}
			f.gate = tt.proxy.start(t, f.addrs()...)
			h := f.hub(t)

			f.crowd = gather(t.Context(), *clients, f.gate.url+"/stream")
			publishing, stop := context.WithCancel(t.Context())
			defer stop()
			published := make(chan struct{})
			go func() { defer close(published); f.crowd.publish(publishing, t, h, *interval) }()
			f.eventually(t, "all clients have the first event", func() bool { return f.crowd.joined.Load() == int64(*clients) })

			for i := range f.servers {
				f.replace(t, i, h, tt.orchestrated)
			}
			stop()
			<-published
			read := make(chan struct{})
			go func() { defer close(read); f.crowd.reading.Wait() }()
			hosttest.ReceiveWithin(t, patience, read, "the end of all streams")
			for i, err := range f.crowd.wrong {
				if i == 10 {
					break
				}
				t.Error(err)
			}
			t.Logf("%d clients, %d events, %d clients with errors", *clients, f.crowd.news.Load(), len(f.crowd.wrong))
		})
	}
}

// A fleet is servers that share a log, behind a proxy.
type fleet struct {
	log     string        // the URL of its server
	args    []string      // of each server
	notice  time.Duration // in args
	servers []*process
	gate    gate
	crowd   *crowd
}

// A process is a server.
type process struct {
	cmd  *exec.Cmd
	addr string
}

// add starts one more server.
func (f *fleet) add(t *testing.T) *process {
	t.Helper()
	s := &process{addr: testenv.Addr(t)}
	f.start(t, s)
	f.servers = append(f.servers, s)
	return s
}

func (f *fleet) start(t *testing.T, s *process) {
	t.Helper()
	s.cmd = exec.Command(program, append([]string{"-addr", s.addr, "-redis", f.log}, f.args...)...)
	testenv.Start(t, s.cmd, "serving")
	f.eventually(t, s.addr+" is ready", func() bool { status, _ := get(t, "http://"+s.addr+"/ready"); return status == 200 })
}

func (f *fleet) addrs() (addrs []string) {
	for _, s := range f.servers {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

// hub returns a hub of this process, over the servers' log.
func (f *fleet) hub(t *testing.T) *hub.Hub {
	t.Helper()
	l := redislog.New(&redis.UniversalOptions{Addrs: []string{strings.TrimPrefix(f.log, "unix://")}}, "events")
	t.Cleanup(func() { _ = l.Close() })
	h := hub.New(hub.WithLog(l))
	t.Cleanup(func() { _ = h.Shutdown(context.Background()) })
	return h
}

func (*fleet) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	hosttest.EventuallyWithin(t, *window+patience, what, ok)
}

// replace has a server leave, in which a run is under way, and starts another one in its place.
func (f *fleet) replace(t *testing.T, i int, h *hub.Hub, orchestrated bool) {
	t.Helper()
	s := f.servers[i]
	key := fmt.Sprint("run", i)
	answer := ssetest.Request{URL: "http://" + s.addr + "/answers/" + key, Method: http.MethodPost}.Open(t)
	wantTexts(t, answer.Collect(1), "begin")

	if orchestrated {
		f.gate.command(t, fmt.Sprintf("set server app/app%d state drain", i+1))
	}
	had, before, told := s.streams(t), len(f.crowd.reconnections()), time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, s.addr+" has moved its streams", func() bool { return s.streams(t) == 0 })
	f.eventually(t, "their clients have come back", func() bool { return len(f.crowd.reconnections()) >= before+had })
	f.spread(t, i, told.Add(f.notice), f.crowd.reconnections()[before:])

	// The run goes on, and no other begins.
	if status := post(t, "http://"+s.addr+"/answers/another"); status != 503 {
		t.Errorf("a run in a server that leaves: got status %d, want 503", status)
	}
	for _, word := range []string{"still", "here", "end"} {
		if _, err := h.Publish(t.Context(), "answer."+key, core.Event{Data: word}); err != nil {
			t.Fatal(err)
		}
	}
	wantTexts(t, answer.All(), "still", "here", "end")
	s.wait(t)

	f.start(t, s)
	if orchestrated {
		f.gate.command(t, fmt.Sprintf("set server app/app%d state ready", i+1))
	}
	f.eventually(t, "the proxy has the new server", func() bool { return f.gate.reaches(t, s) })
}

// spread checks that clients have come back over the window. Each has its time in it, before
// which it must not come, however slow the machine is. Some come later, and so together.
func (*fleet) spread(t *testing.T, i int, begin time.Time, times []time.Time) {
	t.Helper()
	n := len(times)
	if n < servers*2 {
		t.Errorf("server %d had %d streams, want more: the proxy does not balance", i, n)
		return
	}
	took := times[n-1].Sub(times[0])
	t.Logf("server %d: %d clients came back within %v, at most %d within a second, %d within 100 ms",
		i, n, took.Round(time.Millisecond), most(times, time.Second), most(times, 100*time.Millisecond))
	var late time.Duration
	for k, at := range times {
		const reconnection = 500 * time.Millisecond // the least that Drain and the client let pass
		earliest := reconnection + time.Duration(float64(*window)*float64(k)/float64(n))
		if got := at.Sub(begin); got < earliest {
			t.Errorf("server %d: client %d of %d came back after %v, want %v at the earliest", i, k+1, n, got, earliest)
			break
		} else if got-earliest > late {
			late = got - earliest
		}
	}
	if late > *window/4 {
		t.Logf("server %d: not compared, because a client came %v late", i, late)
	} else if got, want := most(times, *window/4), n*8/10; got > want {
		t.Errorf("got %d of %d clients within a quarter of the window, want at most %d", got, n, want)
	}
}

// reaches reports whether the proxy sends a request to s.
func (g gate) reaches(t *testing.T, s *process) bool {
	t.Helper()
	_, state := get(t, g.url+"/state")
	return strings.HasPrefix(state, fmt.Sprintf("process %d:", s.cmd.Process.Pid))
}

// streams returns how many streams the server has.
func (s *process) streams(t *testing.T) int {
	t.Helper()
	_, state := get(t, "http://"+s.addr+"/state")
	match := regexp.MustCompile(`: (\d+) streams`).FindStringSubmatch(state)
	if match == nil {
		t.Fatalf("%s/state: got %q", s.addr, state)
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wait waits for the clean end of the process.
func (s *process) wait(t *testing.T) {
	t.Helper()
	kill := time.AfterFunc(*window+patience, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%s: the server ended with %v", s.addr, err)
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	return request(t, http.MethodGet, url)
}

func post(t *testing.T, url string) (status int) {
	t.Helper()
	status, _ = request(t, http.MethodPost, url)
	return status
}

// request sends a request, and returns what comes. An answer that is a stream is left after
// its beginning.
func request(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return resp.StatusCode, ""
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func wantTexts(t *testing.T, events []core.Event, want ...string) {
	t.Helper()
	var got []string
	for _, e := range events {
		got = append(got, e.Data)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got events %q, want %q", got, want)
	}
}
