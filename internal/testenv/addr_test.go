package testenv_test

import (
	"net"
	"runtime"
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A server can listen, end, and listen again. Between, its clients are refused.
func TestAddr(t *testing.T) {
	addr := testenv.Addr(t)
	for range 3 {
		if c, err := net.Dial("tcp", addr); err == nil { //nolint:noctx // on loopback
			_ = c.Close()
			t.Fatalf("%s is reached, where nobody listens", addr)
		}
		l, err := net.Listen("tcp", addr) //nolint:noctx // it returns at once
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr) //nolint:noctx // on loopback
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		_ = c.Close()
	}
}

// What is held is not free for those who want it for themselves.
func TestAddrIsHeld(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nothing is held there, or another error is told")
	}
	addr := testenv.Addr(t)
	local, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{LocalAddr: local} // without SO_REUSEADDR
	if c, err := d.Dial("tcp", l.Addr().String()); err == nil {
		_ = c.Close()
		t.Errorf("a connection was made from %s, which is held", addr)
	}
}
