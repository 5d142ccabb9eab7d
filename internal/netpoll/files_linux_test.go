package netpoll_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// A connection that cannot be taken from the net package, because the process has no file
// descriptor left, stays open and usable, whether the poller runs by then or cannot start.
func TestAdoptWithoutFiles(t *testing.T) {
	for name, polled := range map[string]bool{"poller": true, "no poller": false} {
		t.Run(name, func(t *testing.T) {
			hosttest.EventuallyWithin(t, soon, "the end of the poller", func() bool { return netpoll.Epoll() == nil })
			if polled {
				server, _ := pair(t)
				other := new(netpoll.Conn)
				if other.Adopt(server, newHandler()) {
					t.Fatal("TryWrite waits, want a socket that does not")
				}
				defer other.Close(true)
			}
			server, client := pair(t)
			c, h := new(netpoll.Conn), newHandler()
			withoutFiles(t, func() {
				if !c.Adopt(server, h) {
					t.Error("TryWrite does not wait, want a connection of the net package")
				}
			})
			c.KeepUnsent(1 << 10)
			exchange(t, c, client)
			leave(t, client, h)
			c.Close(false)
			if _, err := server.Write([]byte("x")); err == nil {
				t.Error("the connection is open after Close")
			}
		})
	}
}

// exchange checks that the client gets what either way of writing sends, more of it than the
// kernel takes at once.
func exchange(t *testing.T, c *netpoll.Conn, client net.Conn) {
	t.Helper()
	const size = 16 << 20
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		if err == nil {
			_, err = c.TryWrite([]byte("end"))
		}
		done <- err
	}()
	got := make([]byte, size+len("end"))
	if n, err := io.ReadFull(client, got); err != nil || string(got[size:]) != "end" {
		t.Fatalf("the client got %d bytes and %v, want all", n, err)
	}
	if err := hosttest.ReceiveWithin(t, soon, done, "the end of the writes"); err != nil {
		t.Fatal(err)
	}
}

// withoutFiles calls f while this process cannot open a file. Those that are open stay so.
func withoutFiles(t *testing.T, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// The standard input has the only descriptor below 1.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}
