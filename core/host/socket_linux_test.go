package host_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// The kernel keeps 1 MiB that it cannot send yet for a generator, and 32 KiB for a
// stream that is handed over.
func TestKernelKeepsLittle(t *testing.T) {
	generator := func(s *host.Session) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "1"}, nil) {
				<-s.Context().Done()
			}
		}
	}
	for name, line := range map[string]line{"plain": plain, "TLS": underTLS} {
		for _, test := range []struct {
			name   string
			stream func(*host.Session) core.Stream
			want   int
		}{
			{"generator", generator, 1 << 20},
			{"handed over", handedOver(t, &pump{next: list(nil, "1")}), 32 << 10},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				var socket *os.File // stays the same, even if the session duplicates the connection
				over(t, func(t *testing.T, server, client net.Conn) (net.Conn, net.Conn) {
					t.Helper()
					var err error
					if socket, err = server.(*net.TCPConn).File(); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = socket.Close() })
					return line(t, server, client)
				})
				g := detached(t, test.stream)
				for e, err := range core.Read(g.body()) {
					if err != nil || e.Data != "1" {
						t.Fatalf("got %+v, %v", e, err)
					}
					break
				}
				if got := unsent(t, socket); got != test.want {
					t.Errorf("got %d bytes, want %d", got, test.want)
				}
				_ = g.client.Close()
				soon(t, g.sums, "the end")
			})
		}
	}
}

// unsent returns how much unsent data the kernel keeps for a socket.
func unsent(t *testing.T, socket *os.File) (n int) {
	t.Helper()
	const notsentLowat = 25 // TCP_NOTSENT_LOWAT, tcp(7)
	var failure error
	raw, err := socket.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			n, failure = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, notsentLowat)
		})
	}
	if err := errors.Join(err, failure); err != nil {
		t.Fatal(err)
	}
	return n
}
