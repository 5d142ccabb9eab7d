package reader

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// HoldTLS opens n connections under TLS that ask for target, and returns when each has
// the head of its response and that many events. drop closes them.
func HoldTLS(addr netip.AddrPort, n int, target string, events int) (drop func(), err error) {
	var conns []net.Conn
	drop = func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	config := &tls.Config{InsecureSkipVerify: true}
	for i := range n {
		c, err := net.DialTimeout("tcp", addr.String(), patience*time.Second)
		if err == nil {
			conns = append(conns, c)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // leaves no address in TIME_WAIT
			}
			err = await(tls.Client(c, config), request(addr, target), events)
		}
		if err != nil {
			drop()
			return nil, fmt.Errorf("reader: connection %d: %w", i, err)
		}
	}
	return drop, nil
}

// await sends a request and reads the head of the response and that many events.
func await(c net.Conn, request string, events int) error {
	_ = c.SetDeadline(time.Now().Add(patience * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	var counter Counter
	for buf := make([]byte, 1<<10); !counter.begun() || counter.Events < events; {
		n, err := c.Read(buf)
		if err == nil {
			_, err = counter.Write(buf[:n])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
