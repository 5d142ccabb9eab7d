package adaptertest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A clientEnd is the client's end of its connection.
type clientEnd interface {
	leave(how string)
	drop()
}

// A wireEnd is a client that reads and writes its protocol itself.
type wireEnd struct {
	net.Conn // with TLS, if there is any

	tcp *net.TCPConn
	rst func() // resets the stream of HTTP/2

	// A write has failed. The kernel reports a reset only once, so the next read would
	// report a plain end.
	hurt atomic.Bool
}

func (c *wireEnd) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.hurt.Store(true)
	}
	return n, err
}

func (c *wireEnd) drop() { _ = c.tcp.Close() }

func (c *wireEnd) leave(how string) {
	switch how {
	case leavesRST:
		c.rst()
	case leavesReset:
		_ = c.tcp.SetLinger(0)
		_ = c.tcp.Close()
	case leavesHalf:
		if t, ok := c.Conn.(*tls.Conn); ok {
			if t.CloseWrite() != nil {
				c.hurt.Store(true)
			}
		}
		_ = c.tcp.CloseWrite()
	default:
		_ = c.tcp.Close()
	}
}

func (r *trial) dial() (*wireEnd, error) {
	raw, err := net.Dial("tcp", r.addr) //nolint:noctx // on loopback
	if err != nil {
		return nil, err
	}
	c := &wireEnd{Conn: raw, tcp: raw.(*net.TCPConn)} //nolint:forcetypeassert // it was dialed so
	if r.Client.Reads == readsNever {
		_ = c.tcp.SetReadBuffer(4 << 10)
	}
	_ = c.tcp.SetDeadline(time.Now().Add(4 * r.limit)) // reached only if something hangs
	if r.Protocol == HTTP2 || r.Protocol == HTTP1TLS {
		config := hosttest.ClientTLS()
		config.ServerName = "example.com" // httptest's
		if config.NextProtos = []string{"http/1.1"}; r.Protocol == HTTP2 {
			config.NextProtos = []string{"h2"}
		}
		t := tls.Client(raw, config)
		if err := t.Handshake(); err != nil { //nolint:noctx // it has a deadline
			_ = raw.Close()
			return nil, fmt.Errorf("handshake: %w", err)
		}
		c.Conn = t
	}
	return c, nil
}

// client sends the request and reads the response.
func (r *trial) client() {
	defer r.update(func() { r.done, r.times.done = true, time.Now() })
	var err error
	if r.site.Transport != nil {
		err = r.talkTransport()
	} else if err = r.talk(); errors.Is(err, errNoConn) {
		r.problemf("the client: %v", err)
		return
	}
	r.endDecoding()
	r.update(func() {
		switch {
		case r.left && r.Client.Leaves != leavesHalf:
			r.end = gone
		case err == nil:
			r.end = clean
		default:
			r.end, r.how = broken, err
		}
		var fault *faultError
		if errors.As(err, &fault) || r.end == broken && errors.Is(err, errTimeout(err)) {
			r.problems = append(r.problems, "the client: "+err.Error())
		}
	})
}

var errNoConn = errors.New("cannot connect")

// talk sends the request over a new connection. It returns nil if the response ends as
// it should.
func (r *trial) talk() error {
	c, err := r.dial()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoConn, err)
	}
	r.update(func() { r.conn = c })
	if r.http2() {
		return r.talkHTTP2(c)
	}
	err = r.talkHTTP1(c)
	if err == nil && r.HTTP10 && c.hurt.Load() {
		err = errors.New("a write was reset")
	}
	return err
}

// A faultError is about something that a response must never have.
type faultError struct{ text string }

func (e *faultError) Error() string { return e.text }

func faultf(format string, args ...any) error { return &faultError{fmt.Sprintf(format, args...)} }

// errTimeout returns err if the client has waited in vain, and otherwise another error.
func errTimeout(err error) error {
	var t net.Error
	if errors.As(err, &t) && t.Timeout() {
		return err
	}
	return io.ErrNoProgress
}

// saw adds a piece of a stream's body.
func (r *trial) saw(p []byte) {
	r.update(func() {
		r.bytes += int64(len(p))
		if !r.zips() {
			r.strip.write(p)
		}
	})
	if r.zips() {
		r.decode(p)
	}
	r.update(func() { r.times.read = time.Now() })
	if r.Client.After >= 0 && r.bytes >= int64(r.Client.After) {
		r.leave()
	}
	if r.Client.Reads == readsSlowly && r.bytes < 20<<10 {
		r.pause(time.Millisecond)
	}
}

// begins records the head of the response. A client that does not read waits here.
func (r *trial) begins(status int, header http.Header) {
	r.update(func() { r.status, r.header = status, header })
	if r.Client.After == 0 {
		r.leave()
	}
}

// stall waits as long as the client does not read: until the session ends or has ended,
// or for a while if it has no reason to.
func (r *trial) stall() {
	if !r.deaf() || r.refusal() != 0 || r.Client.Method == http.MethodHead || r.Client.Body == bodyLong || r.stalls() {
		return
	}
	stop := make(chan struct{})
	patient := r.Client.Reads == readsNever && r.limited()
	if !patient && (r.WriteTimeout <= 0 || r.WriteTimeout > time.Second) {
		timer := time.AfterFunc(30*time.Millisecond, func() { close(stop) })
		defer timer.Stop()
	}
	r.until(stop, "the end of a session whose client does not read", func() bool {
		over := r.viewed != nil && r.viewed.Err() != nil
		refused := len(r.guarded.refused) > 0 // perhaps before the view, because a busy server was too late
		return len(r.ended) > 0 || r.left || refused || over && (!patient || r.opened == 0)
	})
}

// poke sends something now and then after the session has ended because the client does
// not read. The client may have missed the reset of its connection, and gets it when it
// sends something.
func (r *trial) poke(c *wireEnd, stop <-chan struct{}) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		r.mu.Lock()
		slow := len(r.ended) > 0 && (r.Client.Reads == readsNever || errors.Is(r.ended[0].Cause, core.ErrSlowClient))
		r.mu.Unlock()
		if slow {
			if _, err := io.WriteString(c, "\r\n"); err != nil {
				return
			}
		}
	}
}

func (r *trial) request() (head string, body []string) {
	version := "HTTP/1.1"
	if r.HTTP10 {
		version = "HTTP/1.0"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\nHost: localhost\r\n", r.Client.Method, r.target(), version)
	if r.LastEventID != "" {
		fmt.Fprintf(&b, "Last-Event-ID: %s\r\n", r.LastEventID)
	}
	if r.Client.Gzip {
		b.WriteString("Accept-Encoding: br, gzip\r\n")
	}
	size := map[string]int{bodyWhole: 1000, bodyLate: 5000, bodyLong: 1_200_000, bodyStalls: stallSize}[r.Client.Body]
	switch {
	case r.Client.Method != http.MethodPost:
	case r.chunked():
		b.WriteString("Transfer-Encoding: chunked\r\n")
		for part := range 5 {
			end := ""
			if part == 4 {
				end = "0\r\n\r\n"
			}
			body = append(body, fmt.Sprintf("%x\r\n%s\r\n%s", size/5, strings.Repeat("b", size/5), end))
		}
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", size)
		for range 5 {
			body = append(body, strings.Repeat("b", size/5))
		}
	}
	b.WriteString("\r\n")
	return b.String(), body
}

// send sends the request, and what the client sends after it.
func (r *trial) send(c *wireEnd, front string) error {
	head, body := r.request()
	tail := strings.Repeat("j", r.Client.Junk)
	if r.Client.Pipeline {
		tail = "GET /plain/json HTTP/1.1\r\nHost: localhost\r\n\r\n"
	}
	if r.Client.Body != bodyLate && r.Client.Body != bodyLong && len(tail) < 10_000 {
		all := strings.Join(body, "")
		if r.stalls() {
			all = all[:r.cut()]
		}
		_, err := io.WriteString(c, front+head+all+tail)
		if r.stalls() {
			r.leave()
		}
		return err
	}
	r.spawn(func() {
		_, _ = io.WriteString(c, front+head)
		for _, part := range append(body, tail) {
			if r.Client.Body == bodyLate {
				r.pause(time.Millisecond)
			}
			if _, err := io.WriteString(c, part); err != nil {
				return
			}
		}
	})
	return nil
}

// leavesHandler reports whether the session leaves its handler on every host.
func (r *trial) leavesHandler() bool { return r.Detach && !r.HTTP10 && r.Protocol == HTTP1 }

// talkHTTP1 returns nil if the response ends as it should.
func (r *trial) talkHTTP1(c *wireEnd) error {
	in := bufio.NewReader(c)
	front := ""
	if r.Client.Pre {
		front = "GET /plain/json HTTP/1.1\r\nHost: localhost\r\n\r\n"
	}
	patient := r.mount.HoldsAnswers && !r.leavesHandler()
	if r.Client.Pre && patient {
		if _, err := io.WriteString(c, front); err != nil {
			return err
		}
		if err := readAnswer(in); err != nil {
			return err
		}
		front = ""
	}
	if err := r.send(c, front); err != nil {
		return err
	}
	r.stall()
	if r.deaf() {
		stop, done := make(chan struct{}), make(chan struct{})
		defer func() { close(stop); <-done }() // poke may be the one that gets the reset
		r.spawn(func() { defer close(done); r.poke(c, stop) })
	}
	if r.Client.Pre && !patient {
		if err := readAnswer(in); err != nil {
			return err
		}
	}
	return r.receive(in)
}

func (r *trial) receive(in *bufio.Reader) error {
	status, header, err := readHead(in)
	if err != nil {
		return err
	}
	r.begins(status, header)
	encoding := header.Get("Transfer-Encoding")
	switch {
	case r.Client.Method == http.MethodHead:
		return nil
	case status != http.StatusOK:
		return readLength(in, header)
	case r.HTTP10 && encoding == "":
		return r.readRest(in)
	case r.HTTP10 || encoding != "chunked":
		return faultf("the Transfer-Encoding is %q", encoding)
	}
	if err := r.readChunks(in); err != nil {
		return err
	}
	if header.Get("Connection") == "close" && r.Client.Leaves == "" {
		rest, err := io.ReadAll(in)
		if err != nil && !r.maySlow() || len(rest) > 0 {
			return faultf("after the last chunk come %d bytes, and %v", len(rest), err)
		}
	}
	return nil
}

// readHead reads the head of a response, and skips those of interim ones.
func readHead(in *bufio.Reader) (status int, header http.Header, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, nil, err
		}
		version, rest, _ := strings.Cut(line, " ")
		status, err = strconv.Atoi(rest[:min(3, len(rest))])
		if err != nil || !strings.HasPrefix(version, "HTTP/1.") || !strings.HasSuffix(line, "\r\n") {
			return 0, nil, faultf("status line %q", line)
		}
		mime, err := textproto.NewReader(in).ReadMIMEHeader()
		if err != nil {
			return 0, nil, err
		}
		if status >= 200 {
			return status, http.Header(mime), nil
		}
	}
}

// readAnswer reads the answer to an ordinary request.
func readAnswer(in *bufio.Reader) error {
	status, header, err := readHead(in)
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return faultf("the first request has status %d", status)
	}
	return readLength(in, header)
}

func readLength(in *bufio.Reader, header http.Header) error {
	n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return faultf("an ordinary answer without a length: %v", header)
	}
	_, err = io.CopyN(io.Discard, in, n)
	return err
}

// readRest reads until in ends.
func (r *trial) readRest(in io.Reader) error {
	var buf [4 << 10]byte
	for {
		n, err := in.Read(buf[:])
		r.saw(buf[:n])
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// readChunks reads chunks (RFC 9112, section 7.1) in their strictest form.
func (r *trial) readChunks(in *bufio.Reader) error {
	var buf [4 << 10]byte
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		digits, ok := strings.CutSuffix(line, "\r\n")
		size, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || !ok || strings.HasPrefix(digits, "+") {
			return faultf("a chunk begins with %.100q", line)
		}
		for left := int(size); left > 0; {
			n, err := in.Read(buf[:min(len(buf), left)])
			left -= n
			r.saw(buf[:n])
			if err != nil {
				return err
			}
		}
		var end [2]byte
		if _, err := io.ReadFull(in, end[:]); err != nil {
			return err
		}
		if string(end[:]) != "\r\n" {
			return faultf("a chunk of %d bytes ends with %q", size, end)
		}
		if size == 0 {
			return nil
		}
	}
}
