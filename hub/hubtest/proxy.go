package hubtest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy forwards TCP connections to a server, as a network does, and fails like
// one. Its methods may be called by any goroutine.
type Proxy struct {
	// Addr is where it listens, on the loopback interface.
	Addr string

	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	server  string
	conns   map[net.Conn]bool
	stalled [2]bool
	changed chan struct{} // closed when stalled changes
	closed  chan struct{}
}

// The directions in which a [Proxy] forwards bytes.
const (
	toServer = iota
	toClient
)

// NewProxy starts a proxy to a server's address. It ends in a Cleanup of t's.
func NewProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("hubtest: proxy: %v", err)
	}
	p := &Proxy{
		Addr:     listener.Addr().String(),
		server:   server,
		listener: listener,
		conns:    make(map[net.Conn]bool),
		changed:  make(chan struct{}),
		closed:   make(chan struct{}),
	}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Stall stops forwarding bytes to the server, to its clients, or both.
// Connections stay open, and new ones are accepted; what is sent waits until Resume.
func (p *Proxy) Stall(toTheServer, toItsClients bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = [2]bool{toServer: toTheServer, toClient: toItsClients}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Resume undoes Stall. The bytes that have waited are forwarded.
func (p *Proxy) Resume() { p.Stall(false, false) }

// Redirect has new connections go to another server, like an address that has
// moved. Existing connections stay.
func (p *Proxy) Redirect(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

// Cut breaks all connections. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	close(p.closed)
	p.Cut()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.running.Go(func() { p.serve(client) })
		}
	}
}

// serve handles one connection. It connects to the server only when bytes may pass to
// it: until then the client waits.
func (p *Proxy) serve(client net.Conn) {
	if !p.keep(client) || !p.pass(toServer) {
		_ = client.Close()
		return
	}
	defer p.drop(client)
	p.mu.Lock()
	addr := p.server
	p.mu.Unlock()
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", addr)
	if err != nil {
		return
	}
	if !p.keep(server) {
		_ = server.Close()
		return
	}
	defer p.drop(server)
	var both sync.WaitGroup
	both.Go(func() { p.forward(toServer, server, client) })
	both.Go(func() { p.forward(toClient, client, server) })
	both.Wait()
}

// keep registers a connection, if the proxy still runs.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return false
	default:
		p.conns[c] = true
		return true
	}
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// forward copies from one connection to the other, and closes both in the end.
func (p *Proxy) forward(way int, to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.pass(way) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until bytes may pass in a direction. It reports whether the proxy
// still runs.
func (p *Proxy) pass(way int) bool {
	for {
		p.mu.Lock()
		stalled, changed := p.stalled[way], p.changed
		p.mu.Unlock()
		if !stalled {
			return true
		}
		select {
		case <-changed:
		case <-p.closed:
			return false
		}
	}
}
