package host_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/feed"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

const patience = time.Minute

func soon[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come within %v", what, patience)
		panic("unreachable")
	}
}

// A guest is a host whose connection can be taken, and the client at the other end.
type guest struct {
	server, client net.Conn
	failures       chan error
	sums           chan core.Summary
	session        *host.Session
}

func (g *guest) Send(f host.Frames) error {
	p := f.Bytes()
	_, err := fmt.Fprintf(g.server, "%x\r\n%s\r\n", len(p), p)
	return err
}

func (*guest) End() error { return errors.New("the host ends what was detached") }
func (*guest) Abort()     {}

func (g *guest) Detach() (net.Conn, func(error), bool) {
	return g.server, func(err error) { g.failures <- err }, true
}

// detached serves a stream over a new connection, without a handler. The stream is made
// for the session.
func detached(t *testing.T, stream func(*host.Session) core.Stream, opts ...core.Option) *guest {
	t.Helper()
	// Small, so that a client that does not read is noticed soon, but more than two
	// segments of the loopback interface: below that, a client that reads after all
	// waits for the kernel's zero-window probes.
	const buffer = 256 << 10
	return detachedOver(t, buffer, stream, opts...)
}

func detachedOver(t *testing.T, buffer int, stream func(*host.Session) core.Stream, opts ...core.Option) *guest {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := &guest{failures: make(chan error, 2), sums: make(chan core.Summary, 2)}
	if g.client, err = net.Dial("tcp", ln.Addr().String()); err != nil { //nolint:noctx // on loopback
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.client.Close() })
	_ = g.client.SetDeadline(time.Now().Add(patience))
	if g.server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = g.client.(*net.TCPConn).SetReadBuffer(buffer)
	_ = g.server.(*net.TCPConn).SetWriteBuffer(buffer)
	g.server, g.client = lineOf(t)(t, g.server, g.client)
	handler, end := context.WithCancel(t.Context())
	defer end() // as a host does when its handler returns
	if isCompressed(t) {
		opts = append(opts, core.WithCompression())
	}
	opts = append([]core.Option{
		core.WithDetach(), core.WithHeartbeat(0),
		core.WithObserver(core.Observer{Closed: func(_ context.Context, sum core.Summary) { g.sums <- sum }}),
	}, opts...)
	if g.session, err = host.NewSession(handler, core.Request{}, opts...); err != nil {
		t.Fatal(err)
	}
	g.session.SetHeaders(http.Header{}, "gzip")
	if err := g.session.Serve(g, stream(g.session)); err != nil {
		t.Fatal(err)
	}
	return g
}

// A line wraps the two ends of a connection.
type line func(t *testing.T, server, client net.Conn) (net.Conn, net.Conn)

// lines has the lines of tests and their subtests, by name. All others are plain.
var lines sync.Map

// over gives a test another line.
func over(t *testing.T, l line) {
	t.Helper()
	lines.Store(t.Name(), l)
	t.Cleanup(func() { lines.Delete(t.Name()) })
}

func lineOf(t *testing.T) line {
	t.Helper()
	if l := settingOf(t, &lines); l != nil {
		return l.(line)
	}
	return plain
}

// settingOf returns what is set for a test, or for one that it is part of.
func settingOf(t *testing.T, settings *sync.Map) any {
	t.Helper()
	for name := t.Name(); name != ""; name = name[:max(strings.LastIndex(name, "/"), 0)] {
		if v, ok := settings.Load(name); ok {
			return v
		}
	}
	return nil
}

func plain(_ *testing.T, server, client net.Conn) (net.Conn, net.Conn) { return server, client }

func wrapped(_ *testing.T, server, client net.Conn) (net.Conn, net.Conn) {
	return struct{ net.Conn }{server}, client
}

func underTLS(t *testing.T, server, client net.Conn) (net.Conn, net.Conn) {
	t.Helper()
	s, c := tls.Server(server, hosttest.ServerTLS()), tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // on loopback, to our own
	greeted := make(chan error, 1)
	go func() { greeted <- c.HandshakeContext(t.Context()) }()
	if err := s.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := soon(t, greeted, "the end of the handshake"); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// The tests of a plain connection also pass under TLS, on a connection that its listener has
// wrapped, and with compression.
func TestDetachedOverOtherConnections(t *testing.T) {
	// The kernel would hold all that they send if it was compressed, or they read the bytes.
	plainly := []string{"ClientThatNeverReads", "HandoverToStalledClient", "GeneratorWithStalledClient", "Shutdown"}
	for name, line := range map[string]line{"TLS": underTLS, "wrapped": wrapped, "compressed": plain} {
		for _, test := range []struct {
			name string
			run  func(*testing.T)
		}{
			{"Handover", TestHandover},
			{"HandoverOfAPart", TestHandoverOfAPart},
			{"HandoverWait", TestHandoverPrepare},
			{"HandoverAfterEvents", TestHandoverAfterEvents},
			{"HandoverHoldsNobodyUp", TestHandoverHoldsNobodyUp},
			{"HandoverToStalledClient", TestHandoverToStalledClient},
			{"GeneratorWithStalledClient", TestDetachedGeneratorWithStalledClient},
			{"ClientThatNeverReads", TestDetachedClientThatNeverReads},
			{"HandoverEndsAtOnce", TestHandoverEndsAtOnce},
			{"Shutdown", TestDetachedShutdown},
			{"HandoverFlushWindow", TestHandoverFlushWindow},
			{"HandoverEndsWithinFlushWindow", TestHandoverEndsWithinFlushWindow},
			{"HandoverIsFair", TestHandoverIsFair},
			{"HandoverLosesNoWake", TestHandoverLosesNoWake},
		} {
			if name == "compressed" && slices.Contains(plainly, test.name) {
				continue
			}
			t.Run(name+"/"+test.name, func(t *testing.T) {
				if test.name != "HandoverToStalledClient" { // it counts goroutines
					t.Parallel()
				}
				over(t, line)
				if name == "compressed" {
					compress(t)
				}
				test.run(t)
			})
		}
	}
}

// body is the response's, decoded.
func (g *guest) body() io.Reader {
	chunks := httputil.NewChunkedReader(g.client)
	if !g.session.Compresses() {
		return chunks
	}
	return &gunzip{from: chunks}
}

// events reads the stream to its end.
func (g *guest) events() (events []core.Event, err error) {
	for e, err := range core.Read(g.body()) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}

// A pump is made of functions, any of which may be nil.
type pump struct {
	next           func(frames *[][]byte) (more bool, err error)
	prepare, close func()
}

func (p *pump) Next(frames *[][]byte) (more bool, err error) { return p.next(frames) }
func (p *pump) Prepare()                                     { p.prepare() }

func (p *pump) Close() {
	if p.close != nil {
		p.close()
	}
}

// handedOver is a stream that hands itself over to p.
func handedOver(t *testing.T, p feed.Pump) func(*host.Session) core.Stream {
	t.Helper()
	return handedOverAfter(t, p)
}

// handedOverAfter is handedOver for a stream that yields events first.
func handedOverAfter(t *testing.T, p feed.Pump, first ...string) func(*host.Session) core.Stream {
	t.Helper()
	return func(s *host.Session) core.Stream {
		var stream core.Stream
		stream = func(yield func(core.Event, error) bool) {
			for _, data := range first {
				yield(core.Event{Data: data}, nil)
			}
			feeds.Store(s, feedOf(yield))
			if feedOf(yield).Compressed() {
				p = zip{p}
			}
			if !feedOf(yield).Handover(stream, p) {
				t.Error("the stream was not handed over")
			}
		}
		return stream
	}
}

// feeds has the feed of each session that was handed over.
var feeds sync.Map

// wake wakes a session, as a pump does when there is more.
func wake(s *host.Session) {
	if f, ok := feeds.Load(s); ok {
		f.(feed.Feed).Wake()
	}
}

func frame(data string) []byte { return []byte("data: " + data + "\n\n") }

// list is a Next that returns frames, one at a time, and then err.
func list(err error, data ...string) func(*[][]byte) (bool, error) {
	return func(frames *[][]byte) (bool, error) {
		if len(data) == 0 {
			return false, err
		}
		*frames = append(*frames, frame(data[0]))
		data = data[1:]
		return true, nil
	}
}

func datas(events []core.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Data)
	}
	return strings.Join(all, " ")
}

func TestHandover(t *testing.T) {
	boom := errors.New("boom")
	explode := func() { panic("boom") }
	isPanic := func(err error) bool {
		var p *core.PanicError
		return errors.As(err, &p) && strings.Contains(string(p.Stack), "TestHandover")
	}
	tests := []struct {
		name  string
		pump  pump
		opts  []core.Option
		want  string
		clean bool
		fails func(error) bool // nil if it does not
	}{
		{"to its end", pump{next: list(io.EOF, "1", "2", "3")}, nil, "1 2 3", true, nil},
		{
			"frames next to the end",
			pump{next: func(frames *[][]byte) (bool, error) {
				*frames = append(*frames, frame("1"), frame("2"))
				return true, io.EOF
			}}, nil, "1 2", true, nil,
		},
		{
			"a failure", pump{next: list(boom, "1")}, nil, "1", false,
			func(err error) bool { return errors.Is(err, boom) },
		},
		{
			"a failure that wraps ErrNotReady",
			pump{next: list(fmt.Errorf("of another stream: %w", feed.ErrNotReady), "1")}, nil, "1", false,
			func(err error) bool { return errors.Is(err, feed.ErrNotReady) },
		},
		{
			"a failure with frames",
			pump{next: func(frames *[][]byte) (bool, error) {
				*frames = append(*frames, frame("behind what is missing"))
				return true, boom
			}}, nil, "", false,
			func(err error) bool { return errors.Is(err, boom) },
		},
		{
			"a panic with frames",
			pump{next: func(frames *[][]byte) (bool, error) {
				*frames = append(*frames, frame("behind what is missing"))
				explode()
				return false, nil
			}}, nil, "", false, isPanic,
		},
		{
			"a failure with an error event", pump{next: list(boom, "1")},
			[]core.Option{core.WithErrorEvent(func(error) core.Event { return core.Event{Data: "sorry"} })}, "1 sorry", true,
			func(err error) bool { return errors.Is(err, boom) },
		},
		{"a panic", pump{next: func(*[][]byte) (bool, error) { explode(); return false, nil }}, nil, "", false, isPanic},
		{
			"runtime.Goexit", pump{next: func(*[][]byte) (bool, error) { runtime.Goexit(); return false, nil }}, nil, "", false,
			isPanic,
		},
		{"a panic of Prepare", pump{next: list(feed.ErrNotReady, "1"), prepare: explode}, nil, "1", false, isPanic},
		{"a panic of Close", pump{next: list(io.EOF, "1"), close: explode}, nil, "1", false, isPanic},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			left := make(chan struct{}, 2)
			closePump := test.pump.close
			test.pump.close = func() {
				left <- struct{}{}
				if closePump != nil {
					closePump()
				}
			}
			group := new(core.Group)
			g := detached(t, handedOver(t, &test.pump), append(test.opts, core.WithGroup(group))...)
			got, err := g.events()
			if datas(got) != test.want || (err == nil) != test.clean {
				t.Errorf("got %q and the end %v, want %q and a clean end: %v", datas(got), err, test.want, test.clean)
			}
			sum := soon(t, g.sums, "the end of the session")
			if test.fails == nil && sum.Err != nil || test.fails != nil && !test.fails(sum.Err) {
				t.Errorf("the observer got the failure %v", sum.Err)
			}
			if test.fails != nil && !test.fails(soon(t, g.failures, "the report to the host")) {
				t.Error("the host got another failure")
			}
			if err := group.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if len(left) != 1 || len(g.failures) > 0 {
				t.Errorf("got %d calls of Close and %d more reports, want 1 and 0", len(left), len(g.failures))
			}
		})
	}
}

// That something has to be prepared is no failure, also if the session ends before it is.
func TestHandoverEndsUnprepared(t *testing.T) {
	group, shut := new(core.Group), make(chan error, 1)
	g := detached(t, func(s *host.Session) core.Stream {
		return handedOver(t, &pump{next: func(*[][]byte) (bool, error) {
			go func() { shut <- group.Shutdown(context.Background()) }()
			soon(t, s.Context().Done(), "the end of the context")
			return false, feed.ErrNotReady
		}})(s)
	}, core.WithGroup(group))
	if got, err := g.events(); len(got) > 0 || err != nil {
		t.Errorf("got %q and the end %v, want no events and a clean end", datas(got), err)
	}
	sum := soon(t, g.sums, "the end of the session")
	if sum.Err != nil || !errors.Is(sum.Cause, core.ErrShutdown) {
		t.Errorf("got the failure %v and the cause %v, want none and a shutdown", sum.Err, sum.Cause)
	}
	if err := soon(t, shut, "the end of the shutdown"); err != nil {
		t.Error(err)
	}
}

// What follows a stream that would be handed over must not come before its end.
func TestHandoverOfAPart(t *testing.T) {
	g := detached(t, func(s *host.Session) core.Stream {
		var part core.Stream
		part = func(yield func(core.Event, error) bool) {
			if feedOf(yield).Handover(part, &pump{next: list(io.EOF, "never")}) {
				t.Error("a part of a stream was handed over")
			}
			yield(core.Event{Data: "1"}, nil)
		}
		return func(yield func(core.Event, error) bool) {
			part(yield)
			yield(core.Event{Data: "2"}, nil)
		}
	})
	if got, err := g.events(); datas(got) != "1 2" || err != nil {
		t.Errorf("got %q, %v, want 1 2", datas(got), err)
	}
	if got := soon(t, g.sums, "the end").Events; got != 2 {
		t.Errorf("got %d events in the summary, want 2", got)
	}
}

// A session in its handler hands nothing over.
func TestNoHandover(t *testing.T) {
	tr := newTrial(t.Context(), t)
	var stream core.Stream
	stream = func(yield func(core.Event, error) bool) {
		if feedOf(yield).Handover(stream, &pump{}) {
			t.Error("got a handover in the handler")
		}
	}
	if err := tr.Serve(tr.fakeHost, stream); err != nil {
		t.Error(err)
	}
}

// Prepare may take long: others continue, and the session continues when it has returned.
func TestHandoverPrepare(t *testing.T) {
	goAhead := make(chan struct{})
	waited := false
	slow := detached(t, handedOver(t, &pump{
		next: func(frames *[][]byte) (bool, error) {
			if !waited {
				return false, feed.ErrNotReady
			}
			*frames = append(*frames, frame("waited"))
			return false, io.EOF
		},
		prepare: func() { waited = true; <-goAhead },
	}))
	for range runtime.GOMAXPROCS(0) {
		g := detached(t, handedOver(t, &pump{next: list(io.EOF, "1")}))
		if got, err := g.events(); datas(got) != "1" || err != nil {
			t.Errorf("another one got %q, %v, want 1", datas(got), err)
		}
	}
	wake(slow.session) // has no effect yet
	close(goAhead)
	if got, err := slow.events(); datas(got) != "waited" || err != nil {
		t.Errorf("got %q, %v, want waited", datas(got), err)
	}
}

// What was yielded before the handover comes first, and does not wait for the flush
// window.
func TestHandoverAfterEvents(t *testing.T) {
	g := detached(t, handedOverAfter(t, &pump{next: func(*[][]byte) (bool, error) { return false, nil }}, "1", "2"),
		core.WithFlushWindow(time.Hour))
	var got []core.Event
	for e, err := range core.Read(g.body()) {
		if err != nil {
			t.Fatalf("after %q: %v", datas(got), err)
		}
		if got = append(got, e); len(got) == 2 {
			break
		}
	}
	if datas(got) != "1 2" {
		t.Errorf("got %q, want 1 2", datas(got))
	}
	g.session.ClientGone()
	soon(t, g.sums, "the end of the session")
}

// While a session's own goroutines wait, whatever for, its worker serves the others.
func TestHandoverHoldsNobodyUp(t *testing.T) {
	const small, others = 1, 200 // the smallest buffers
	long := strings.Repeat("x", 31<<10)
	var failing *host.Session
	ready := make(chan struct{})
	for _, test := range []struct {
		name   string
		stream func(*host.Session) core.Stream
		opts   []core.Option
	}{
		{
			"what was gathered before",
			handedOverAfter(t, &pump{next: func(*[][]byte) (bool, error) { return false, nil }}, "1", long),
			[]core.Option{core.WithFlushWindow(5 * time.Millisecond)},
		},
		{"the last event, and somebody wakes it", func(s *host.Session) core.Stream {
			failing = s
			return handedOver(t, &pump{next: func(*[][]byte) (bool, error) {
				<-ready
				wake(failing)
				return false, errors.New("boom")
			}})(s)
		}, []core.Option{core.WithErrorEvent(func(error) core.Event { return core.Event{Data: strings.Repeat(long, 100)} })}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad := detachedOver(t, small, test.stream, append(test.opts, core.WithWriteTimeout(0))...)
			if failing != nil {
				close(ready)
			}
			for range others {
				g := detached(t, handedOver(t, &pump{next: list(io.EOF, "1")}))
				if got, err := g.events(); datas(got) != "1" || err != nil {
					t.Fatalf("another one got %q, %v, want 1", datas(got), err)
				}
			}
			_ = bad.client.Close()
			soon(t, bad.sums, "the end of the session")
		})
	}
}

// A source makes numbered events as fast as they are taken.
type source struct {
	pump
	taken atomic.Int64
	most  int64
}

const sourceEvent = 1 << 10

func newSource(most int64) *source {
	s := &source{most: most}
	text := strings.Repeat("x", sourceEvent)
	s.next = func(frames *[][]byte) (bool, error) {
		for range 64 {
			if s.taken.Load() == s.most {
				return false, io.EOF
			}
			*frames = append(*frames, frame(strconv.FormatInt(s.taken.Add(1), 10)+" "+text))
		}
		return true, nil
	}
	return s
}

// stuck waits until nothing more is taken from a source.
func (s *source) stuck(t *testing.T) {
	t.Helper()
	still, last := 0, int64(-1)
	for range int(patience / (5 * time.Millisecond)) {
		<-time.After(5 * time.Millisecond)
		if now := s.taken.Load(); now > 0 && now == last {
			still++
		} else {
			last, still = now, 0
		}
		if still == 20 {
			return
		}
	}
	t.Fatal("more and more is taken, although the client does not read")
}

// A client that does not read costs one batch, delays nobody, and gets everything in
// order when it reads after all. No heartbeat comes between the parts of a chunk.
func TestHandoverToStalledClient(t *testing.T) {
	const (
		events    = 2_000 // more than the kernel keeps
		heartbeat = 20 * time.Millisecond
	)
	src := newSource(events)
	g := detached(t, handedOver(t, src), core.WithFlushWindow(0), core.WithHeartbeat(heartbeat))
	src.stuck(t)
	silent := detached(t, func(s *host.Session) core.Stream {
		return func(func(core.Event, error) bool) { <-s.Context().Done() }
	}, core.WithHeartbeat(heartbeat))
	for beats, lines := 0, bufio.NewScanner(silent.client); beats < 5; {
		if !lines.Scan() {
			t.Fatalf("got %d heartbeats and the end, %v", beats, lines.Err())
		}
		if strings.HasPrefix(lines.Text(), ":") {
			beats++
		}
	}
	if src.taken.Load() == events {
		t.Fatal("the kernel holds everything: the test has no meaning")
	}
	const wakes, few = 200, 20
	before := runtime.NumGoroutine()
	for range wakes {
		wake(g.session)
		runtime.Gosched()
	}
	if more := runtime.NumGoroutine() - before; more > few {
		t.Errorf("%d wakes have left %d goroutines that wait, want one", wakes, more)
	}
	for range runtime.GOMAXPROCS(0) {
		other := detached(t, handedOver(t, &pump{next: list(io.EOF, "1", "2", "3")}))
		if got, err := other.events(); datas(got) != "1 2 3" || err != nil {
			t.Errorf("another one got %q, %v, want 1 2 3", datas(got), err)
		}
	}
	n := int64(0)
	for e, err := range core.Read(g.body()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if number, _, _ := strings.Cut(e.Data, " "); number != strconv.FormatInt(n, 10) || len(e.Data) != len(number)+1+sourceEvent {
			t.Fatalf("got %.20q, want event %d", e.Data, n)
		}
	}
	if n != events {
		t.Errorf("got %d events, want %d", n, events)
	}
	if sum := soon(t, g.sums, "the end"); sum.Events != events || sum.Bytes < events*sourceEvent || sum.Cause != nil {
		t.Errorf("got summary %+v", sum)
	}
}

// A heartbeat that has to wait for its client, because the session is not served by its worker
// at the moment, does not hold up the heartbeats of the worker's other sessions.
func TestHandoverHeartbeatsWaitForNobody(t *testing.T) {
	var g core.Group
	large := core.Event{Type: "ping", Data: strings.Repeat("x", 64<<10)}
	for range 2 * runtime.GOMAXPROCS(0) {
		working := make(chan struct{})
		t.Cleanup(func() { close(working) })
		detached(t, handedOver(t, &pump{
			next:    func(*[][]byte) (bool, error) { return false, feed.ErrNotReady },
			prepare: func() { <-working },
		}), core.WithGroup(&g), core.WithHeartbeat(time.Millisecond), core.WithHeartbeatEvent(large), core.WithWriteTimeout(0))
	}
	waiting := func() (n int) {
		for m := range g.Members() {
			if m.Behind > 100*time.Millisecond {
				n++
			}
		}
		return n
	}
	for tries := 0; waiting() < g.Len(); tries++ {
		if tries == int(patience/(5*time.Millisecond)) {
			t.Fatalf("only %d of %d heartbeats wait for their clients", waiting(), g.Len())
		}
		<-time.After(5 * time.Millisecond)
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		silent := detached(t, handedOver(t, &pump{next: list(nil)}), core.WithHeartbeat(20*time.Millisecond))
		for beats, lines := 0, bufio.NewScanner(silent.client); beats < 5; {
			if !lines.Scan() {
				t.Fatalf("got %d heartbeats and the end, %v", beats, lines.Err())
			}
			if strings.HasPrefix(lines.Text(), ": heartbeat") {
				beats++
			}
		}
	}
}

// Heartbeats that take all of a worker's time do not keep its other sessions from their events
// and their ends.
func TestHandoverHeartbeatsLeaveTimeForEvents(t *testing.T) {
	for range 2 * runtime.GOMAXPROCS(0) {
		busy := detached(t, handedOver(t, &pump{next: list(nil)}), core.WithHeartbeat(time.Microsecond))
		go func() { _, _ = io.Copy(io.Discard, busy.client) }()
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		g := detached(t, handedOver(t, &pump{next: list(io.EOF, "1", "2", "3")}))
		if got, err := g.events(); datas(got) != "1 2 3" || err != nil {
			t.Errorf("got %q, %v, want 1 2 3", datas(got), err)
		}
	}
}

// A generator waits for its client, and continues when there is room.
func TestDetachedGeneratorWithStalledClient(t *testing.T) {
	const events = 2_000
	src := newSource(events)
	g := detached(t, func(*host.Session) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for src.taken.Add(1) <= events {
				if !yield(core.Event{Data: strings.Repeat("x", sourceEvent)}, nil) {
					return
				}
			}
		}
	})
	src.stuck(t)
	if got := src.taken.Load(); got > events {
		t.Fatal("the kernel holds everything: the test has no meaning")
	}
	if got, err := g.events(); len(got) != events || err != nil {
		t.Errorf("got %d events and the end %v, want %d and a clean one", len(got), err, events)
	}
}

// A client that never reads is given up, and so is one that does not read when its session
// ends, also with a generator.
func TestDetachedClientThatNeverReads(t *testing.T) {
	flood := func(*host.Session) core.Stream {
		return func(yield func(core.Event, error) bool) {
			e, ok := core.Event{Data: strings.Repeat("x", sourceEvent)}, true
			for ok {
				ok = yield(e, nil)
			}
		}
	}
	for _, test := range []struct {
		name  string
		opts  []core.Option
		cause error
	}{
		{"write timeout", []core.Option{core.WithWriteTimeout(200 * time.Millisecond)}, core.ErrSlowClient},
		{"maximum duration", []core.Option{core.WithWriteTimeout(0), core.WithMaxDuration(300 * time.Millisecond)}, core.ErrMaxDuration},
	} {
		t.Run(test.name, func(t *testing.T) {
			for what, stream := range map[string]func(*host.Session) core.Stream{
				"a generator": flood, "handed over": handedOver(t, newSource(1<<40)),
			} {
				g := detached(t, stream, test.opts...)
				sum := soon(t, g.sums, "the end of "+what)
				if !errors.Is(sum.Cause, test.cause) || sum.Err != nil {
					t.Errorf("%s: got summary %+v, want cause %v", what, sum, test.cause)
				}
				got, err := g.events()
				if err == nil && len(got) == sum.Events && test.cause == core.ErrMaxDuration {
					continue // the kernel had just enough room
				}
				if !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%s: the client sees %v after half a stream, want a reset: the kernel keeps the rest", what, err)
				}
			}
		})
	}
}

// A client that has closed its side and does not read is given up.
func TestHandoverToClientThatHalfCloses(t *testing.T) {
	src := newSource(1 << 40)
	g := detached(t, handedOver(t, src), core.WithWriteTimeout(0))
	src.stuck(t)
	if err := g.client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if sum := soon(t, g.sums, "the end"); !errors.Is(sum.Cause, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", sum.Cause, core.ErrClientGone)
	}
	if _, err := g.events(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v after half a stream, want a reset: the kernel keeps the rest", err)
	}
}

// A bomb is a host's connection that panics.
type bomb struct {
	net.Conn
	armed *atomic.Bool
}

func (b bomb) Write(p []byte) (int, error) {
	if b.armed.Load() {
		panic("boom")
	}
	return b.Conn.Write(p)
}

// If the host's connection panics, its session ends, and nothing else.
func TestHandoverOverPanickingConnection(t *testing.T) {
	var armed atomic.Bool
	over(t, func(_ *testing.T, server, client net.Conn) (net.Conn, net.Conn) { return bomb{server, &armed}, client })
	idle := make(chan struct{}, 10)
	g := detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
		if armed.Load() {
			*frames = append(*frames, frame("1"))
		}
		idle <- struct{}{}
		return false, nil
	}}), core.WithWriteTimeout(0)) // so that no timer finds it
	soon(t, idle, "the first look")
	armed.Store(true)
	wake(g.session)
	if got, want := fmt.Sprint(soon(t, g.sums, "the end").Cause), "host: the writer panicked: boom"; got != want {
		t.Errorf("got the cause %q, want %q", got, want)
	}
}

// A session that waits is woken up to end, and not only found by the timer a second later.
func TestHandoverEndsAtOnce(t *testing.T) {
	var took time.Duration
	for range 20 { // because the machine may be busy
		group := new(core.Group)
		idle := make(chan struct{}, 10)
		detached(t, handedOver(t, &pump{next: func(*[][]byte) (bool, error) {
			idle <- struct{}{}
			return false, nil
		}}), core.WithGroup(group))
		soon(t, idle, "the first look")
		<-time.After(10 * time.Millisecond) // the worker goes to sleep
		begin := time.Now()
		if err := group.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took = time.Since(begin); took < time.Second/2 {
			return
		}
	}
	t.Errorf("it took %v to end a waiting session", took)
}

// Shutdown gives a client that does not read little time.
func TestDetachedShutdown(t *testing.T) {
	group := new(core.Group)
	src := newSource(1 << 40)
	stalled := detached(t, handedOver(t, src), core.WithGroup(group), core.WithWriteTimeout(0))
	idle := detached(t, handedOver(t, &pump{next: list(nil)}), core.WithGroup(group))
	src.stuck(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	if err := group.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for _, g := range []*guest{stalled, idle} {
		if sum := soon(t, g.sums, "the end"); !errors.Is(sum.Cause, core.ErrShutdown) {
			t.Errorf("got cause %v, want %v", sum.Cause, core.ErrShutdown)
		}
	}
	if got, err := io.ReadAll(httputil.NewChunkedReader(idle.client)); err != nil || !strings.Contains(string(got), "\nretry: ") {
		t.Errorf("the idle client got %q, %v, want a reconnection time and a clean end", got, err)
	}
}

// An event that comes within the flush window of the previous one is sent at its end.
func TestHandoverFlushWindow(t *testing.T) {
	const window = 300 * time.Millisecond
	var pending atomic.Int64
	g := detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
		for range pending.Swap(0) {
			*frames = append(*frames, frame("x"))
		}
		return false, nil
	}}), core.WithFlushWindow(window))
	begin := time.Now()
	n, want := int64(0), []int64{1, 5, 5}
	pending.Store(want[0])
	wake(g.session)
	for _, err := range core.Read(g.body()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n < want[0] {
			continue
		}
		n, want = 0, want[1:]
		if len(want) == 0 {
			break
		}
		for range want[0] {
			pending.Add(1)
			wake(g.session)
		}
	}
	if d := time.Since(begin); d < 2*window {
		t.Errorf("it took %v until all events had come, want two windows of %v", d, window)
	}
}

// A session with a long flush window also ends at once.
func TestHandoverEndsWithinFlushWindow(t *testing.T) {
	group := new(core.Group)
	var left atomic.Int64
	left.Store(2)
	g := detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
		if left.Add(-1) >= 0 {
			*frames = append(*frames, frame("x"))
		}
		return false, nil
	}}), core.WithGroup(group), core.WithFlushWindow(time.Hour))
	wake(g.session)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := group.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := g.events(); err != nil {
		t.Error(err)
	}
}

// A stream that has ended does not wait for the window either.
func TestHandoverToEndWithinFlushWindow(t *testing.T) {
	var end atomic.Bool
	left, looked := 2, make(chan struct{}, 10)
	g := detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
		defer func() { looked <- struct{}{} }()
		if left--; left >= 0 {
			*frames = append(*frames, frame("x"))
		}
		switch {
		case !end.Load():
			return false, nil
		case left >= -1: // its last events are sent in several turns
			*frames = append(*frames, frame("x"))
			return true, nil
		default:
			return false, io.EOF
		}
	}}), core.WithFlushWindow(time.Hour))
	soon(t, looked, "the first look")
	wake(g.session)                       // within the window
	for range 2 * runtime.GOMAXPROCS(0) { // after it, on each worker
		if _, err := detached(t, handedOver(t, &pump{next: list(io.EOF, "1")})).events(); err != nil {
			t.Fatal(err)
		}
	}
	end.Store(true)
	f, _ := feeds.Load(g.session)
	f.(feed.Feed).WakeToEnd()
	if got, err := g.events(); len(got) < 3 || err != nil {
		t.Errorf("got %q and the end %v, want three events or four, and a clean end", datas(got), err)
	}
}

// A session that always has more takes turns with the others.
func TestHandoverIsFair(t *testing.T) {
	endless := newSource(1 << 40)
	var greedy []*guest
	for range 2 * runtime.GOMAXPROCS(0) { // on each worker
		g := detached(t, handedOver(t, endless), core.WithFlushWindow(0))
		go func() { _, _ = io.Copy(io.Discard, g.client) }()
		greedy = append(greedy, g)
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		g := detached(t, handedOver(t, &pump{next: list(io.EOF, "1", "2", "3")}), core.WithFlushWindow(0))
		if got, err := g.events(); datas(got) != "1 2 3" || err != nil {
			t.Errorf("got %q, %v, want 1 2 3", datas(got), err)
		}
	}
	for _, g := range greedy {
		_ = g.client.Close()
		soon(t, g.sums, "the end of one whose client has left")
	}
}

// A Wake during a call of Next is not lost.
func TestHandoverLosesNoWake(t *testing.T) {
	const workers, events = 4, 500
	var mu sync.Mutex
	pending := 0
	g := detached(t, handedOver(t, &pump{next: func(frames *[][]byte) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		for range pending {
			*frames = append(*frames, frame("x"))
		}
		pending = 0
		return false, nil
	}}), core.WithFlushWindow(0))
	for range workers {
		go func() {
			for range events {
				mu.Lock()
				pending++
				mu.Unlock()
				wake(g.session)
			}
		}()
	}
	n := 0
	for _, err := range core.Read(g.body()) {
		if err != nil {
			t.Fatalf("after %d events: %v", n, err)
		}
		if n++; n == workers*events {
			break
		}
	}
}

// A process that is started in the meantime does not inherit the connections.
func TestDetachedIsNotInherited(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it is read in /proc")
	}
	detached(t, handedOver(t, &pump{next: list(nil)}))
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, f := range files {
		what, _ := os.Readlink("/proc/self/fd/" + f.Name())
		info, err := os.ReadFile("/proc/self/fdinfo/" + f.Name())
		if err != nil || !strings.HasPrefix(what, "socket:") && !strings.Contains(what, "eventpoll") {
			continue
		}
		var flags int64
		for line := range strings.Lines(string(info)) {
			if octal, ok := strings.CutPrefix(line, "flags:"); ok {
				flags, _ = strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			}
		}
		if checked++; flags&syscall.O_CLOEXEC == 0 {
			t.Errorf("a child would inherit file %s, %s", f.Name(), what)
		}
	}
	if checked < 3 {
		t.Errorf("found %d files to check, want the two ends of a connection, and epoll", checked)
	}
}

// A session whose request context has a deadline stays in the handler.
func TestDetaches(t *testing.T) {
	limited, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	inner, stop := context.WithCancel(limited)
	defer stop()
	for _, test := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // it is what the test is about
		opts []core.Option
		want bool
	}{
		{"without the option", t.Context(), nil, false},
		{"with it", t.Context(), []core.Option{core.WithDetach()}, true},
		{"a deadline", limited, []core.Option{core.WithDetach()}, false},
		{"a deadline further out", inner, []core.Option{core.WithDetach()}, false},
	} {
		s, err := host.NewSession(test.ctx, core.Request{}, test.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Detaches(); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		s.Close(nil)
	}
}

// The context of a detached session has the request's values too.
func TestDetachedValues(t *testing.T) {
	type key int
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key(1), "one"))
	defer cancel()
	inner, stop := context.WithCancelCause(context.WithValue(ctx, key(2), "two"))
	defer stop(nil)
	s, err := host.NewSession(inner, core.Request{LastEventID: "7"}, core.WithDetach())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(nil)
	got := []any{s.Context().Value(key(1)), s.Context().Value(key(2)), core.LastEventID(s.Context())}
	if want := []any{"one", "two", "7"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	cause := errors.New("a middleware's")
	stop(cause)
	<-s.Context().Done()
	if got := context.Cause(s.Context()); !errors.Is(got, cause) {
		t.Errorf("got cause %v before the session was detached, want %v", got, cause)
	}
}
