package netpoll

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// thePoller watches all sockets.
var thePoller poller

// A poller watches sockets with one epoll instance and one goroutine, which exist as long as
// there are sockets, and for a moment longer: clients that come one after the other share
// them. The goroutine waits for epoll as for any file, so it blocks no thread.
//
// An epoll event is only a hint: the code that gets it finds out by itself. So a hint
// that comes late, and reaches another connection, which has the same file descriptor by
// then, does no harm.
type poller struct {
	mu    sync.Mutex
	file  *os.File // the epoll instance; nil while there has been nothing to watch for a moment
	fd    int
	conns []*Conn // by file descriptor
	count int
	timer *time.Timer // calls close; nil until first needed
}

// linger is how long a poller that watches nothing remains.
const linger = 100 * time.Millisecond

// edges makes epoll report each event once (EPOLLET).
const edges = 1 << 31

func (p *poller) add(c *Conn, events uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		if err := p.open(); err != nil {
			return err
		}
	}
	for len(p.conns) <= int(c.fd) {
		p.conns = append(p.conns, nil)
	}
	p.conns[c.fd] = c
	p.count++
	event := syscall.EpollEvent{Events: events | edges, Fd: c.fd}
	err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, int(c.fd), &event)
	if err != nil {
		p.drop(c.fd)
	}
	return err
}

// remove must be called before the file descriptor is closed, which also removes it from
// epoll.
func (p *poller) remove(fd int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(fd)
}

func (p *poller) drop(fd int32) {
	p.conns[fd] = nil
	p.count--
	if p.count > 0 {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(linger, p.close)
	} else {
		p.timer.Reset(linger)
	}
}

// close closes the epoll instance, unless there is something to watch again.
func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count > 0 || p.file == nil {
		return
	}
	_ = p.file.SetReadDeadline(time.Unix(1, 0)) // ends the goroutine, which closes the file
	p.file, p.conns = nil, nil
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
	file := os.NewFile(uintptr(fd), "epoll")
	if err := file.SetReadDeadline(time.Time{}); err != nil { // fails if the runtime cannot wait for it
		_ = file.Close()
		return err
	}
	p.fd, p.file = fd, file
	go p.run(p.file)
	return nil
}

func (p *poller) run(file *os.File) {
	defer func() { _ = file.Close() }()
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	var (
		room  [128]syscall.EpollEvent
		conns [len(room)]*Conn
	)
	_ = raw.Read(func(fd uintptr) (done bool) {
		for {
			n, err := syscall.EpollWait(int(fd), room[:], 0)
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				return false // wait for more, or for the end
			}
			p.mu.Lock()
			for i, e := range room[:n] {
				if conns[i] = nil; p.file == file && int(e.Fd) < len(p.conns) {
					conns[i] = p.conns[e.Fd]
				}
			}
			p.mu.Unlock()
			for i, e := range room[:n] {
				if conns[i] != nil {
					conns[i].hint(e.Events)
				}
			}
			clear(conns[:n])
		}
	})
}
