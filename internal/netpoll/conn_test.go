package netpoll_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// soon bounds each wait.
const soon = time.Minute

// A handler remembers what it was told.
type handler struct {
	left chan struct{} // Left was called
	room chan struct{} // Room was called since this was last emptied
	own  atomic.Bool   // what Room reports
}

func newHandler() *handler {
	return &handler{left: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func (h *handler) Left() {
	select {
	case h.left <- struct{}{}:
	default:
	}
}

func (h *handler) Room() bool {
	select {
	case h.room <- struct{}{}:
	default:
	}
	return h.own.Load()
}

func await(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(soon):
		t.Fatalf("%s did not come within %v", what, soon)
	}
}

// kinds are the kinds of connections that a server may have.
var kinds = map[string]func(t *testing.T, server, client net.Conn) (net.Conn, net.Conn){
	"plain": func(_ *testing.T, server, client net.Conn) (net.Conn, net.Conn) { return server, client },
	"wrapped": func(_ *testing.T, server, client net.Conn) (net.Conn, net.Conn) {
		return struct{ net.Conn }{server}, client
	},
	"TLS": underTLS,
}

func underTLS(t *testing.T, server, client net.Conn) (net.Conn, net.Conn) {
	t.Helper()
	s := tls.Server(server, hosttest.ServerTLS())
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own server
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(ctx) }()
	if err := errors.Join(c.HandshakeContext(ctx), <-done); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// pair returns both ends of a connection on loopback.
func pair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String()) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = client.SetDeadline(time.Now().Add(soon))
	return server, client
}

// adopt runs a test on a connection of each kind.
func adopt(t *testing.T, run func(t *testing.T, c *netpoll.Conn, h *handler, client net.Conn)) {
	t.Helper()
	for name, put := range kinds {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t)
			server, client = put(t, server, client)
			c, h := new(netpoll.Conn), newHandler()
			c.Adopt(server, h)
			run(t, c, h, client)
		})
	}
}

func TestConnWritesAll(t *testing.T) {
	adopt(t, func(t *testing.T, c *netpoll.Conn, _ *handler, client net.Conn) {
		const size = 16 << 20 // more than the kernel takes at once
		want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(want)
			c.CloseWrite()
			done <- err
		}()
		got, err := io.ReadAll(client)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the client got %d bytes and %v, want %d and a proper end", len(got), err, len(want))
		}
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Write: %v", err)
			}
		case <-time.After(soon):
			t.Error("Write has not returned")
		}
		c.Close(false)
	})
}

func TestConnTellsThatTheClientHasLeft(t *testing.T) {
	for _, says := range []int{0, 1} {
		adopt(t, func(t *testing.T, c *netpoll.Conn, h *handler, client net.Conn) {
			_, _ = client.Write(make([]byte, says))
			leave(t, client, h)
			c.Close(false)
		})
	}
}

// leave closes the client's end, and checks that Left is called then, and not before.
func leave(t *testing.T, client net.Conn, h *handler) {
	t.Helper()
	select {
	case <-h.left:
		t.Fatal("Left was called before the client had left")
	default:
	}
	_ = client.Close()
	await(t, h.left, "Left")
}

func TestConnInterrupt(t *testing.T) {
	adopt(t, func(t *testing.T, c *netpoll.Conn, _ *handler, _ net.Conn) {
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, 64<<20)) // the client does not read it
			done <- err
		}()
		c.Interrupt()
		select {
		case err := <-done:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
			}
		case <-time.After(soon):
			t.Error("Write has not returned")
		}
		c.Close(true)
	})
}

// The client can tell a reset from a proper end.
func TestConnCloseDrops(t *testing.T) {
	for _, drop := range []bool{false, true} {
		adopt(t, func(t *testing.T, c *netpoll.Conn, _ *handler, client net.Conn) {
			if !drop {
				c.CloseWrite()
			}
			c.Close(drop)
			_, err := client.Read(make([]byte, 1))
			if got, want := errors.Is(err, io.EOF), !drop; got != want {
				t.Errorf("drop %t: the client got %v", drop, err)
			}
		})
	}
}
