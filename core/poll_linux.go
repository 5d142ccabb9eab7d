package core

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// thePoller watches all plain connections of detached sessions.
var thePoller poller

// A poller watches connections with one epoll instance and one goroutine, which
// there is as long as there are connections. The goroutine waits for epoll as for any
// file, so that it holds no thread.
//
// What epoll tells is taken as a hint only: who gets one looks by itself. So it does
// no harm that one may come late, and reach another connection that has been given
// the file descriptor meanwhile.
type poller struct {
	mu    sync.Mutex
	file  *os.File // the epoll instance; nil while there is nothing to watch
	fd    int
	wires []*wire // by file descriptors
	count int
}

// events are edges: each comes once.
const events = uint32(syscall.EPOLLIN|syscall.EPOLLOUT|syscall.EPOLLRDHUP) | 1<<31

// poll has the poller watch w, if it can.
func (w *wire) poll() bool {
	switch w.Conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false
	}
	raw, err := w.Conn.(syscall.Conn).SyscallConn() //nolint:forcetypeassert // both are
	if err != nil {
		return false
	}
	w.raw = raw
	if raw.Control(func(fd uintptr) { w.fd = int(fd); err = thePoller.add(w) }) != nil || err != nil {
		w.raw = nil
		return false
	}
	return true
}

// unpoll comes before the connection is closed, which takes it out of epoll.
func (w *wire) unpoll() {
	if w.raw != nil {
		thePoller.remove(w)
	}
}

func (p *poller) add(w *wire) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		if err := p.open(); err != nil {
			return err
		}
	}
	for len(p.wires) <= w.fd {
		p.wires = append(p.wires, nil)
	}
	p.wires[w.fd] = w
	p.count++
	err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, w.fd, &syscall.EpollEvent{Events: events, Fd: int32(w.fd)}) //nolint:gosec // it fits
	if err != nil {
		p.drop(w)
	}
	return err
}

func (p *poller) remove(w *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(w)
}

func (p *poller) drop(w *wire) {
	p.wires[w.fd] = nil
	p.count--
	if p.count == 0 {
		_ = p.file.SetReadDeadline(time.Unix(1, 0)) // ends the goroutine, which closes it
		p.file, p.wires = nil, nil
	}
}

func (p *poller) open() error {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return err
	}
	p.fd, p.file = fd, os.NewFile(uintptr(fd), "epoll")
	if err := p.file.SetReadDeadline(time.Time{}); err != nil { // it can be waited for
		_ = p.file.Close()
		return err
	}
	go p.run(p.file)
	return nil
}

func (p *poller) run(file *os.File) {
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	var (
		room  [128]syscall.EpollEvent
		wires [len(room)]*wire
	)
	_ = raw.Read(func(fd uintptr) (done bool) {
		for {
			n, err := syscall.EpollWait(int(fd), room[:], 0)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if n <= 0 {
				return false // to be woken up when there is more, or for the end
			}
			p.mu.Lock()
			for i, e := range room[:n] {
				if wires[i] = nil; int(e.Fd) < len(p.wires) {
					wires[i] = p.wires[e.Fd]
				}
			}
			p.mu.Unlock()
			for i, e := range room[:n] {
				if wires[i] != nil {
					wires[i].hint(e.Events)
				}
			}
			clear(wires[:n])
		}
	})
}

// hint says what may have happened.
func (w *wire) hint(events uint32) {
	if events&^syscall.EPOLLOUT != 0 {
		w.listen()
	}
	if w.session.sending.Load() != 0 {
		w.wake() // it may go on
	}
}

// listen reads what there is of input, and notices its end.
func (w *wire) listen() {
	var buf [512]byte
	for w.heard < mostHeard {
		n, err := 0, error(nil)
		if w.raw.Read(func(fd uintptr) bool { n, err = syscall.Read(int(fd), buf[:]); return true }) != nil {
			return // closed
		}
		switch {
		case n > 0:
			w.heard += n
		case errors.Is(err, syscall.EAGAIN):
			return
		case !errors.Is(err, syscall.EINTR):
			w.left()
			return
		}
	}
}

// An attempt writes without waiting, and without allocating.
type attempt struct {
	f func(fd uintptr) bool

	p   []byte
	n   int
	err error
}

// write writes as much of p as there is room for.
func (a *attempt) write(raw syscall.RawConn, p []byte) (n int, err error) {
	if a.f == nil {
		a.f = func(fd uintptr) bool {
			for a.n < len(a.p) {
				var n int
				n, a.err = syscall.Write(int(fd), a.p[a.n:])
				switch {
				case n > 0:
					a.n += n
				case !errors.Is(a.err, syscall.EINTR):
					return true
				}
			}
			return true
		}
	}
	a.p, a.n, a.err = p, 0, nil
	if err := raw.Write(a.f); err != nil {
		a.err = err
	}
	a.p = nil
	if errors.Is(a.err, syscall.EAGAIN) {
		a.err = nil
	}
	return a.n, a.err
}
