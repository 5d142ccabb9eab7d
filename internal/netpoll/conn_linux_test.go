package netpoll_test

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// On a plain connection TryWrite writes what there is room for, and the handler is told
// when there is more.
func TestTryWriteDoesNotWait(t *testing.T) {
	server, client := pair(t)
	c, h := new(netpoll.Conn), newHandler()
	h.own.Store(true)
	if c.Adopt(server, h) {
		t.Fatal("TryWrite waits, want a socket that does not")
	}
	p := make([]byte, 64<<20)
	sent, err := c.TryWrite(p)
	if err != nil || sent == 0 || sent == len(p) {
		t.Fatalf("got %d bytes of %d and %v, want some", sent, len(p), err)
	}
	go func() { _, _ = io.Copy(io.Discard, client) }()
	for sent < len(p) {
		await(t, h.room, "Room")
		n, err := c.TryWrite(p[sent:])
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	c.Close(false)
	if _, err := c.TryWrite(p); err == nil {
		t.Error("got no error after Close")
	}
	_ = client.SetDeadline(time.Unix(1, 0))
}

// Connections that come one after the other share an epoll instance, which is closed soon after
// the last one.
func TestPollerLingers(t *testing.T) {
	var last *os.File
	shared := false
	for range 20 { // a slow machine may have closed it before the next one
		server, _ := pair(t)
		c := new(netpoll.Conn)
		if c.Adopt(server, newHandler()) {
			t.Fatal("TryWrite waits, want a socket that does not")
		}
		shared = shared || last != nil && last == netpoll.Epoll()
		last = netpoll.Epoll()
		c.Close(false)
	}
	if !shared {
		t.Error("each connection has an epoll instance of its own")
	}
	hosttest.EventuallyWithin(t, soon, "the end of the poller", func() bool { return netpoll.Epoll() == nil })
}
