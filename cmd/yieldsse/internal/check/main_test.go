package check_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// longLived are goroutines of fasthttp and fiber that outlive a server.
var longLived = []string{"fasthttp.updateServerDate", "fasthttp.(*workerPool).Start", "utils.StartTimeStampUpdater"}

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.Parallel()
	ssetest.Main(m, longLived...)
}

// A network connects clients to a server in memory, so that they use the bubble's clock.
type network struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newNetwork() *network {
	return &network{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case n.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.closed:
		return nil, errors.New("refused")
	}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (n *network) Addr() net.Addr { return &net.TCPAddr{} }

// A job is what differs from check to check.
type job struct {
	method string
	body   string
	header http.Header
	watch  time.Duration
	origin string
}

// run checks a server in a bubble, and returns how long that took.
func run(t *testing.T, h http.Handler, j job) (r *check.Report, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
		var serving sync.WaitGroup
		serving.Go(func() { _ = srv.Serve(n) })
		transport := &http.Transport{DialContext: n.dial}

		if j.method == "" {
			j.method = http.MethodGet
		}
		req, err := http.NewRequestWithContext(t.Context(), j.method, "http://stream.example/events", strings.NewReader(j.body))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(req.Header, j.header)
		if j.watch == 0 {
			j.watch = 20 * time.Second
		}
		start := time.Now()
		r, err = check.Run(t.Context(), check.Config{
			Request: req, Client: &http.Client{Transport: transport}, Watch: j.watch, Origin: j.origin,
		})
		took = time.Since(start)
		if err != nil {
			t.Errorf("got error %v, want a report", err)
			r = &check.Report{}
		}
		transport.CloseIdleConnections()
		_ = srv.Close()
		serving.Wait()
	})
	return r, took
}

// find returns the worst finding of a subject.
func find(r *check.Report, subject string) check.Finding {
	worst := check.Finding{Severity: -1}
	for _, f := range r.Findings {
		if f.Subject == subject && f.Severity > worst.Severity {
			worst = f
		}
	}
	return worst
}

// expect compares a finding, and checks that every problem has a reason and a fix.
func expect(t testing.TB, r *check.Report, subject string, severity check.Severity, seen string) {
	t.Helper()
	f := find(r, subject)
	if f.Severity != severity || !strings.Contains(f.Seen, seen) {
		t.Errorf("%s: got %v %q, want %v with %q; all:\n%s", subject, f.Severity, f.Seen, severity, seen, list(r))
	}
	for _, f := range r.Findings {
		if f.Severity > check.OK && (f.Why == "" || f.Fix == "") {
			t.Errorf("%s: got no reason or no fix: %+v", f.Subject, f)
		}
	}
	if got, want := r.Summary.Clean(), r.Summary.Warning+r.Summary.Fault == 0; got != want {
		t.Errorf("got clean %t, want %t", got, want)
	}
}

func list(r *check.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-8v %-16s %s\n", f.Severity, f.Subject, f.Seen)
	}
	return b.String()
}

// good sets the headers that a stream should have.
func good(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no")
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func send(w http.ResponseWriter, text string) {
	_, _ = io.WriteString(w, text)
	flush(w)
}

// pause waits, and reports whether the client is still there.
func pause(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

// numbered is a correct stream that resumes, with an event at regular times.
func numbered(every time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		good(w)
		send(w, ":\n\n")
		id := 0
		_, _ = fmt.Sscan(r.Header.Get("Last-Event-ID"), &id)
		for pause(r, every) {
			id++
			send(w, fmt.Sprintf("id: %d\ndata: event %d\n\n", id, id))
		}
	}
}

// body is a stream of these bytes, which then stays open.
func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		good(w)
		send(w, text)
		<-r.Context().Done()
	}
}

// raw answers with these bytes, and closes the connection.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _ = rw.WriteString(answer)
		_ = rw.Flush()
	}
}
