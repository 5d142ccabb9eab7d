package hubtest

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
)

// The ways in which a client is served.
const (
	forwarded  = iota // the hub's stream as it is
	ranged            // a generator that ranges over the hub's stream
	handedOver        // detached, on a TCP connection
	wrapped           // detached, on a connection that only the net package knows
	detached          // detached, with a generator that ranges over the hub's stream
	ways
)

var wayNames = [ways]string{"forwarded", "ranged over", "handed over", "handed over, wrapped", "detached and ranged over"}

// A visit is one connection of a client to a hub.
type visit struct {
	selection

	slot  *slot
	hub   *hub.Hub
	names []string
	way   int

	sent    string // the Last-Event-ID
	garbage bool   // sent is not an ID
	from    hub.Position
	after   string // the ID of from; empty if from is another position
	floor   string // what is up to this ID was published before the visit; empty if not known
	begin   string // what is after this ID was published after the visit began; empty if not known

	leaving context.CancelFunc
	conn    io.Closer // the client's side
	gate    gate
	over    chan struct{} // closed when the session has ended and the client has seen it

	left   bool
	mayEnd bool   // it was kicked
	ends   bool   // it has to end
	until  string // the last ID when it was kicked; empty after accidents, or if it may not have begun
	calm   int64  // the world's troubles when it was kicked

	mu  sync.Mutex
	got []core.Event // guarded by mu

	clean    bool // the response has ended cleanly; set when over is closed
	summary  core.Summary
	troubles int64 // the world's troubles when it was over
}

// A selection is what a client wants of its topics.
type selection struct {
	region     string // only events of this region; empty for all
	state      bool   // the state first, and instead of gaps
	compressed bool
}

func (v *visit) String() string {
	return fmt.Sprintf("client of %v, %+v, %s, after %q from %v", v.names, v.selection, wayNames[v.way], v.sent, v.from)
}

// wants reports whether the client wants an event.
func (v *visit) wants(m *fact) bool {
	return wants(v.names, m.topics...) && (v.region == "" || v.region == m.region)
}

// fresh reports whether the client begins with the state, if it wants one.
func (v *visit) fresh() bool { return v.sent == "" && v.from == hub.Now }

// options returns the options of the client's subscription.
func (v *visit) options() []hub.SubscribeOption {
	opts := []hub.SubscribeOption{hub.From(v.from)}
	if v.region != "" {
		opts = append(opts, hub.WithFilter(func(_ string, a hub.Attributes) bool { return a["region"] == v.region }))
	}
	if v.state {
		opts = append(opts, hub.WithState(func(yield func(core.Event, error) bool) {
			e := core.Event{Type: stateType, Data: v.hub.LastID()}
			if yield(e, nil) {
				yield(e, nil)
			}
		}))
	}
	return opts
}

const stateType = "the state"

func isState(e core.Event) bool { return e.Type == stateType }

// troubled reports whether accidents make it unknown what a kicked visit should have received.
func (v *visit) troubled() bool { return v.until == "" || v.calm != v.troubles }

// A gate can be closed and opened.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil if it is open
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case open && g.opened != nil:
		close(g.opened)
		g.opened = nil
	case !open && g.opened == nil:
		g.opened = make(chan struct{})
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened != nil {
		<-opened
	}
}

// A gatedReader is what a client reads from while its gate is open.
type gatedReader struct {
	io.Reader

	gate *gate
	err  error // how it has ended
}

func (r *gatedReader) Read(p []byte) (int, error) {
	r.gate.pass()
	n, err := r.Reader.Read(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

// visit begins a visit. The caller has set its first group of fields, up to after.
func (w *world) visit(v *visit) error {
	v.hub, v.over = v.slot.hub, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	closed := make(chan core.Summary, 1)
	opts := []core.Option{
		core.WithHeartbeat(0), core.WithWriteTimeout(0),
		core.WithObserver(core.Observer{Closed: func(_ context.Context, end core.Summary) { closed <- end }}),
	}
	if v.way >= handedOver {
		opts = append(opts, core.WithDetach())
	}
	if v.compressed {
		opts = append(opts, core.WithCompression())
	}
	session, err := host.NewSession(ctx, core.Request{LastEventID: v.sent}, opts...)
	if err != nil {
		cancel()
		return err
	}
	session.SetHeaders(http.Header{}, "gzip")
	v.leaving = cancel
	v.floor = v.hub.LastID()
	stream := v.hub.SubscribeWith(session.Context(), v.names, v.options()...)
	v.begin = v.hub.LastID()
	if v.floor == "" { // the log may have answered in the meantime
		v.begin = ""
	}
	if v.way == ranged || v.way == detached {
		inner := stream
		stream = func(yield func(core.Event, error) bool) {
			inner(func(e core.Event, err error) bool { return yield(e, err) })
		}
	}
	var conn host.Conn
	in := &gatedReader{gate: &v.gate}
	if v.way < handedOver {
		r, to := io.Pipe()
		conn, in.Reader, v.conn = pipe{to}, r, r
	} else {
		client, server, err := w.connection(v.way == wrapped)
		if err != nil {
			cancel()
			session.Close(nil)
			return err
		}
		conn, in.Reader, v.conn = takeable{server}, httputil.NewChunkedReader(bufio.NewReaderSize(client, 512)), client
	}
	go func() {
		if err := session.Refused(); err != nil {
			session.Close(err)
			conn.Abort()
			closed <- core.Summary{Err: err}
			return
		}
		_ = session.Serve(conn, stream)
	}()
	go func() {
		defer close(v.over)
		for e, err := range blocks(v.decoded(in)) {
			if err == nil && e != (core.Event{Comment: e.Comment}) {
				v.mu.Lock()
				v.got = append(v.got, e)
				v.mu.Unlock()
			}
		}
		if in.err != io.EOF { //nolint:errorlint // the very one
			_ = v.conn.Close()
		}
		end := <-closed
		_ = v.conn.Close()
		v.clean, v.summary, v.troubles = errors.Is(in.err, io.EOF), end, w.troubles.Load()
	}()
	return nil
}

// decoded returns the text of a body. It ends where the body does, whether that is whole or not.
func (v *visit) decoded(body *gatedReader) io.Reader {
	if !v.compressed {
		return body
	}
	text, to := io.Pipe()
	go func() {
		decoder, err := gzip.NewReader(body)
		if err == nil {
			_, err = io.Copy(to, decoder) //nolint:gosec // it is the hub's
		}
		if errors.Is(body.err, io.EOF) && err != nil { // a clean end has a trailer
			body.err = err
		}
		_ = to.CloseWithError(io.EOF)
	}()
	return text
}

// cursor returns the ID of the last event that has come.
func (v *visit) cursor() string {
	for _, e := range slices.Backward(v.entries()) {
		if e.ID != "" { // a state has only one, at its end
			return e.ID
		}
	}
	return v.sent
}

// leave ends the visit from the client's side.
func (v *visit) leave() {
	v.left = true
	v.leaving()
	_ = v.conn.Close()
	v.gate.set(true)
}

// entries returns what has come.
func (v *visit) entries() []core.Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.got
}

func (v *visit) isOver() bool {
	select {
	case <-v.over:
		return true
	default:
		return false
	}
}

// A takeable is a host's connection that a session can take.
type takeable struct{ net.Conn }

func (l takeable) Send(f host.Frames) error {
	_, err := l.Write(f.Chunk())
	return err
}

func (l takeable) End() error {
	_, err := io.WriteString(l.Conn, host.LastChunk)
	_ = l.Close()
	return err
}

func (l takeable) Abort() { _ = l.Close() }

func (l takeable) Detach() (net.Conn, func(error), bool) { return l.Conn, func(error) {}, true }

// connection returns the two ends of a connection. A wrapped one buffers nothing.
func (w *world) connection(wrap bool) (client, server net.Conn, err error) {
	if wrap {
		client, server = net.Pipe()
		return client, server, nil
	}
	w.dialing.Lock()
	defer w.dialing.Unlock()
	client, err = (&net.Dialer{Timeout: patience}).Dial("tcp", w.listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	for {
		server, err = w.listener.Accept()
		if err != nil {
			_ = client.Close()
			return nil, nil, err
		}
		if server.RemoteAddr().String() == client.LocalAddr().String() {
			return client, server, nil
		}
		_ = server.Close() // a stranger's, who has mistaken the port
	}
}
