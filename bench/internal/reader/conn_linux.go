package reader

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

const (
	lowWater = 64 << 10  // a reader at full speed is woken for so many bytes
	bufSize  = 512 << 10 // and takes up to so many
	patience = 60        // seconds in which something has to come
)

// A Conn is a connection with one request on it. It blocks its thread, and not
// the runtime's poller.
type Conn struct {
	Counter

	fd int

	// In a Crowd:
	at    time.Time // of the last read
	base  int       // events at the last Mark
	ended bool      // the server has ended it
}

// Open sends a GET request for target to addr. from is the local address that it
// comes from, or the zero Addr: many connections need many. lines are further
// ones of the request's head.
func Open(addr netip.AddrPort, from netip.Addr, target string, lines ...string) (*Conn, error) {
	return open(addr, from, request(addr, target, lines...))
}

// OpenStalled is Open for a connection that takes the response's head, and hardly
// more.
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
		if err := syscall.Bind(c.fd, &syscall.SockaddrInet4{Addr: from.As4()}); err != nil {
			return err
		}
	}
	return syscall.Connect(c.fd, &syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())})
}

// Close resets the connection.
func (c *Conn) Close() { _ = syscall.Close(c.fd) }

// Await reads until there have been the response's head and that many events.
func (c *Conn) Await(events int) error {
	buf := make([]byte, 64<<10)
	for !c.begun() || c.Events < events {
		if err := c.read(buf); err != nil {
			return err
		}
	}
	return nil
}

// read takes what comes next, or returns io.EOF.
func (c *Conn) read(buf []byte) error {
	for {
		n, err := syscall.Read(c.fd, buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return fmt.Errorf("reader: nothing came for %d s after %d events", patience, c.Events)
		case err != nil:
			return fmt.Errorf("reader: after %d events: %w", c.Events, err)
		case n == 0:
			return io.EOF
		}
		_, err = c.Write(buf[:n])
		return err
	}
}

// Drain gets target from addr and reads the response to its end, at full speed.
// It must hold that many events, no more and no less.
func Drain(addr netip.AddrPort, target string, events int) error {
	// The last bytes do not reach the low water: they need the connection's end.
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
		return fmt.Errorf("%w: %d of %d came", ErrLoss, c.Events, events)
	}
	if !c.Complete() {
		return fmt.Errorf("reader: the response broke after %d events", c.Events)
	}
	return nil
}
