package reader

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lowWater = 64 << 10  // bytes for which a reader at full speed is woken
	bufSize  = 512 << 10 // bytes that it reads at most
	patience = 60        // seconds to wait for anything
)

// A Conn is a connection with one request on it. It bypasses the runtime's poller, so
// reading blocks its thread.
type Conn struct {
	Counter

	fd int

	// In a Crowd:
	at    time.Time // time of the last read
	base  int       // events at the last Mark
	ended bool      // by the server
}

// Open sends a GET request for target to addr, from the local address from unless that is
// the zero Addr: one address does not have enough ports for very many connections. lines
// are added to the request's head.
func Open(addr netip.AddrPort, from netip.Addr, target string, lines ...string) (*Conn, error) {
	return open(addr, from, request(addr, target, lines...))
}

// OpenStalled opens a connection that reads the response's head and hardly anything more.
func OpenStalled(addr netip.AddrPort, target string) (*Conn, error) {
	c, err := open(addr, netip.Addr{}, request(addr, target), syscall.SO_RCVBUF, 1)
	if err != nil {
		return nil, err
	}
	for buf := make([]byte, 64); !c.begun(); {
		if err := c.read(buf); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func request(addr netip.AddrPort, target string, lines ...string) string {
	lines = append([]string{"GET " + target + " HTTP/1.1", "Host: " + addr.String()}, lines...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func open(addr netip.AddrPort, from netip.Addr, request string, options ...int) (*Conn, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reader: socket: %w", err)
	}
	c := &Conn{fd: fd}
	err = c.connect(addr, from, options)
	if err == nil {
		_, err = syscall.Write(fd, []byte(request))
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("reader: %v: %w", addr, err)
	}
	return c, nil
}

func (c *Conn) connect(addr netip.AddrPort, from netip.Addr, options []int) error {
	for i := 0; i+1 < len(options); i += 2 {
		if err := syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, options[i], options[i+1]); err != nil {
			return err
		}
	}
	wait := syscall.Timeval{Sec: patience}
	if err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return err
	}
	// A reset at the end leaves no address in TIME_WAIT.
	linger := syscall.Linger{Onoff: 1}
	if err := syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &linger); err != nil {
		return err
	}
	if from.IsValid() {
		// Connect chooses the port, so that connections to several servers can share it.
		if err := syscall.SetsockoptInt(c.fd, syscall.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return err
		}
		if err := syscall.Bind(c.fd, &syscall.SockaddrInet4{Addr: from.As4()}); err != nil {
			return err
		}
	}
	return syscall.Connect(c.fd, &syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())})
}

// Close resets the connection.
func (c *Conn) Close() { _ = syscall.Close(c.fd) }

// Await reads the response's head and that many events.
func (c *Conn) Await(events int) error {
	buf := make([]byte, 64<<10)
	for !c.begun() || c.Events < events {
		if err := c.read(buf); err != nil {
			return err
		}
	}
	return nil
}

// read reads once. It returns io.EOF at the end.
func (c *Conn) read(buf []byte) error {
	for {
		n, err := syscall.Read(c.fd, buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return fmt.Errorf("reader: nothing arrived for %d s after %d events", patience, c.Events)
		case err != nil:
			return fmt.Errorf("reader: after %d events: %w", c.Events, err)
		case n == 0:
			return io.EOF
		}
		_, err = c.Write(buf[:n])
		return err
	}
}

// Drain gets target from addr and reads the response to its end, at full speed. The
// response must have exactly that many events.
func Drain(addr netip.AddrPort, target string, events int) error {
	// The last bytes do not reach the low-water mark. The connection's end wakes the reader.
	c, err := open(addr, netip.Addr{}, request(addr, target, "Connection: close"), syscall.SO_RCVLOWAT, lowWater)
	if err != nil {
		return err
	}
	defer c.Close()
	for buf := make([]byte, bufSize); ; {
		if err := c.read(buf); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if c.Events != events || c.Lost > 0 {
		return fmt.Errorf("%w: got %d of %d", ErrLoss, c.Events, events)
	}
	if !c.Complete() {
		return fmt.Errorf("reader: the response broke after %d events", c.Events)
	}
	return nil
}
