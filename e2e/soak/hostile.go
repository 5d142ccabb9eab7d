package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A kind is a kind of hostile client. Its function returns after it has done its worst. An
// error says what the server has done wrong.
type kind struct {
	name string
	run  func(a *attack) error
}

// kinds are all of them.
var kinds = []kind{
	{"leaves", (*attack).leave},
	{"does not read", (*attack).stall},
	{"does not read, under TLS", (*attack).stallTLS},
	{"does not read, on HTTP/2", (*attack).stallHTTP2},
	{"vanishes without a FIN", (*attack).vanish},
	{"closes its side", (*attack).halfClose},
	{"reads a byte at a time", (*attack).drip},
	{"reads a flood a byte at a time", (*attack).dripFlood},
	{"sends rubbish", (*attack).rubbish},
	{"never stops sending", (*attack).chatter},
	{"floods with RST", (*attack).resets},
	{"floods with HTTP/2 resets", (*attack).resetsHTTP2},
	{"has slow headers", (*attack).slowHeader},
	{"has a body that never comes", (*attack).noBody},
}

func kindNamed(name string) *kind {
	for i, k := range kinds {
		if k.name == name {
			return &kinds[i]
		}
	}
	return nil
}

// modes are the first parts of paths.
var modes = []string{"handler", "detached"}

// An attack is one hostile client. Nothing of it is used by two goroutines at once.
type attack struct {
	ctx    context.Context // ends when the client must leave
	random *rand.Rand
	server *process
	name   string
	mode   string // empty means any
	topic  string // likewise
	whole  bool   // it asks for no compression
	path   string // what is asked for
	start  int64  // of the server, which may be restarted
	conns  []net.Conn
	dialer net.Dialer
}

// errAway means that the server was restarted, or has refused the client.
var errAway = errors.New("the server is away")

func (a *attack) restarted() bool { return !a.server.up.Load() || a.server.starts.Load() != a.start }

// dial connects to a host of the server, with TLS if it has it.
func (a *attack) dial(host int) (net.Conn, error) {
	c, err := a.dialTCP(host)
	if err != nil || host != tlsHost {
		return c, err
	}
	config := hosttest.ClientTLS()
	config.ServerName = "example.com"
	t := tls.Client(c, config)
	if t.HandshakeContext(a.ctx) != nil {
		return nil, errAway
	}
	return t, nil
}

func (a *attack) dialTCP(host int) (net.Conn, error) {
	c, err := a.dialer.DialContext(a.ctx, "tcp", a.server.addrs[host])
	if err != nil {
		return nil, errAway
	}
	a.conns = append(a.conns, c)
	_ = c.SetDeadline(time.Now().Add(patience))
	return c, nil
}

// anyHost returns a host of HTTP/1.1, at random.
func (a *attack) anyHost() int { return a.random.IntN(len(hosts)) }

// open asks a host for a stream, and returns the connection when the response has begun.
func (a *attack) open(host int, stream string) (net.Conn, error) {
	c, err := a.dial(host)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, a.head(http.MethodGet, stream)+"\r\n"); err != nil {
		return nil, errAway
	}
	in := bufio.NewReaderSize(c, 16) // hardly more than the header
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, errAway
		case strings.TrimSpace(string(line)) == "":
			return c, nil
		}
	}
}

// head returns the request line and the header of a request, without the line that ends it.
func (a *attack) head(method, stream string) string {
	a.path = fmt.Sprintf("/%s/%s/%s", cmp.Or(a.mode, oneOf(a.random, modes...)), stream, a.name)
	topic, from := cmp.Or(a.topic, oneOf(a.random, topics...)), oneOf(a.random, "now", "oldest")
	head := fmt.Sprintf("%s %s?topic=%s&from=%s HTTP/1.1\r\nHost: soak\r\n", method, a.path, topic, from)
	if a.zips(stream) {
		head += "Accept-Encoding: gzip\r\n"
	}
	return head
}

// zips reports whether a request for a stream asks for compression. A compressed flood would
// hardly fill the client's window.
func (a *attack) zips(stream string) bool {
	return !a.whole && stream != "flood" && a.random.IntN(2) == 0
}

// pause waits for up to d, at random.
func (a *attack) pause(d time.Duration) {
	select {
	case <-time.After(time.Duration(a.random.Int64N(int64(d)))):
	case <-a.ctx.Done():
	}
}

// close closes all connections, properly or with a reset.
func (a *attack) close() {
	for _, c := range a.conns {
		if tcp, ok := c.(*net.TCPConn); ok && a.random.IntN(2) == 0 {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// ends waits for the end of the session at the server. It must come although the client is
// still there, or because it has left.
func (a *attack) ends(why string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range core.Every(ctx, 200*time.Millisecond) {
		switch alive, err := a.lives(ctx); {
		case a.restarted():
			return errAway
		case err == nil && !alive:
			return nil
		}
	}
	return fmt.Errorf("%s: %s, and its session still goes on %v later", a.path, why, patience)
}

func (a *attack) lives(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.server.addrs[plainHost]+"/lives?client="+a.name, nil)
	if err != nil {
		return false, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode != http.StatusOK || string(text) == "yes", err
}

// closes waits until the server closes the connection.
func (a *attack) closes(c net.Conn, why string) error {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && a.server.up.Load() {
		return fmt.Errorf("%s: %s, and its connection is still open %v later", a.path, why, patience)
	}
	return nil
}

// listen reads a while.
func (a *attack) listen(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(time.Duration(a.random.Int64N(int64(2 * time.Second)))))
	_, _ = io.CopyN(io.Discard, c, 10_000)
}

func (a *attack) leave() error {
	c, err := a.open(a.anyHost(), "events")
	if err != nil {
		return err
	}
	a.listen(c)
	return nil
}

func (a *attack) stall() error {
	if _, err := a.open(oneOf(a.random, plainHosts...), "flood"); err != nil {
		return err
	}
	return a.ends("it does not read")
}

func (a *attack) stallTLS() error {
	if _, err := a.open(tlsHost, "flood"); err != nil {
		return err
	}
	return a.ends("it does not read")
}

// http2 returns a function that opens streams on one connection of HTTP/2, with or without
// TLS, and what gives them up.
func (a *attack) http2() (open func(stream string) (reset func(), err error), leave func()) {
	way := oneOf(a.random, roads[2:]...)
	host := oneOf(a.random, way.hosts...)
	transport := way.transport(func(c net.Conn) net.Conn {
		a.conns = append(a.conns, c)
		return c
	})
	open = func(stream string) (reset func(), err error) {
		_ = a.head(http.MethodGet, stream) // chooses the path
		ctx, cancel := context.WithCancel(a.ctx)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, way.scheme+"://"+a.server.addrs[host]+a.path+"?topic=a", nil)
		if err == nil {
			encoding := "identity" // without any, the transport would ask for gzip
			if a.zips(stream) {
				encoding = "gzip"
			}
			req.Header.Set("Accept-Encoding", encoding)
			_, err = transport.RoundTrip(req) //nolint:bodyclose // it is not read, and ends with ctx
		}
		if err != nil {
			cancel()
			return nil, errAway
		}
		return cancel, nil
	}
	return open, transport.CloseIdleConnections
}

func (a *attack) stallHTTP2() error {
	open, leave := a.http2()
	defer leave()
	reset, err := open("flood")
	if err != nil {
		return err
	}
	defer reset()
	return a.ends("it does not read")
}

func (a *attack) vanish() error {
	c, err := a.open(a.anyHost(), "events")
	if err != nil {
		return err
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if err := vanish(c.(*net.TCPConn)); err != nil { //nolint:forcetypeassert // it was dialed
		return fmt.Errorf("cannot vanish: %w", err)
	}
	return a.ends("it has vanished")
}

func (a *attack) halfClose() error {
	c, err := a.open(a.anyHost(), "events")
	if err != nil {
		return err
	}
	_ = c.(interface{ CloseWrite() error }).CloseWrite() //nolint:forcetypeassert // both kinds have it
	return a.ends("it has closed its side")
}

func (a *attack) drip() error {
	c, err := a.open(a.anyHost(), "events")
	if err != nil {
		return err
	}
	for range 20 {
		a.pause(time.Second)
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return errAway
		}
	}
	return nil
}

func (a *attack) dripFlood() error {
	c, err := a.open(a.anyHost(), "flood")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	go func() {
		for range core.Every(ctx, time.Second) {
			_, _ = c.Read(make([]byte, 1))
		}
	}()
	return a.ends("it reads a byte in a second")
}

// rubbish has requests that are not valid. In them, $ stands for the beginning of a good one, and
// ~ for random bytes.
var rubbish = []string{
	"~", "~~~~\r\n\r\n",
	"GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "$~\r\n\r\n", "$\x00: \x00\r\n\r\n",
	"$Content-Length: -1\r\n\r\n", "$Content-Length: 99999999999999999999\r\n\r\n",
	"$Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", "$Transfer-Encoding: chunked\r\n\r\n5\r\n~",
	"$Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n~",
	"$Last-Event-ID: ~\r\n\r\n", "$Last-Event-ID: abcdefgh-99999999999999999999\r\n\r\n", "$Accept-Encoding: ~\r\n\r\n",
	"$Connection: upgrade\r\nUpgrade: ~\r\n\r\n", "$Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n~", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00~",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03~",
}

func (a *attack) rubbish() error {
	c, err := a.dial(a.anyHost())
	if err != nil {
		return err
	}
	a.whole = true // some of the rubbish is an Accept-Encoding
	text := strings.ReplaceAll(oneOf(a.random, rubbish...), "$", a.head(http.MethodGet, "events"))
	for strings.Contains(text, "~") {
		bytes := make([]byte, 1+a.random.IntN(3000))
		for i := range bytes {
			if bytes[i] = byte(a.random.Uint32()); bytes[i] == '~' { //nolint:gosec // any byte
				bytes[i] = 0
			}
		}
		text = strings.Replace(text, "~", string(bytes), 1)
	}
	_, _ = io.WriteString(c, text)
	a.listen(c)
	return nil
}

// chatter sends on after the request. The server takes no more than it has room for, and so
// may not notice that the client leaves before its next write fails.
func (a *attack) chatter() error {
	c, err := a.open(a.anyHost(), "events")
	if err != nil {
		return err
	}
	_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // of all that follow
	for range 100 {
		_, _ = io.WriteString(c, a.head(http.MethodGet, "events")+"\r\n"+strings.Repeat("x", 1000))
	}
	a.pause(2 * time.Second)
	return nil
}

func (a *attack) resets() error {
	host := a.anyHost()
	for range 50 {
		c, err := a.dial(host)
		if err != nil {
			return err
		}
		head := a.head(http.MethodGet, "events") + "\r\n"
		switch a.random.IntN(4) {
		case 0:
		case 1:
			_, _ = io.WriteString(c, head[:a.random.IntN(len(head))])
		case 2:
			_, _ = io.WriteString(c, head)
		case 3:
			_, _ = io.WriteString(c, head)
			_, _ = c.Read(make([]byte, 100))
		}
		raw := a.conns[len(a.conns)-1].(*net.TCPConn) //nolint:forcetypeassert // it was dialed
		_ = raw.SetLinger(0)
		_ = raw.Close()
	}
	a.conns = nil
	return nil
}

func (a *attack) resetsHTTP2() error {
	open, leave := a.http2()
	defer leave()
	for range 100 {
		reset, err := open(oneOf(a.random, "events", "flood"))
		if err != nil {
			return err
		}
		reset()
	}
	return nil
}

// slowHeader sends a byte now and then, of a header or of TLS's first message.
func (a *attack) slowHeader() error {
	host, text := a.anyHost(), a.head(http.MethodGet, "events")
	dial := a.dial
	if host == tlsHost && a.random.IntN(2) == 0 {
		dial, text = a.dialTCP, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	}
	c, err := dial(host)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	go func() {
		i := 0
		for range core.Every(ctx, 100*time.Millisecond) {
			_, _ = c.Write([]byte{text[min(i, len(text)-1)]})
			i++
		}
	}()
	return a.closes(c, "its header does not end")
}

func (a *attack) noBody() error {
	c, err := a.dial(a.anyHost())
	if err != nil {
		return err
	}
	_, _ = io.WriteString(c, a.head(http.MethodPost, "events")+"Content-Length: 1000\r\n\r\n"+strings.Repeat("x", a.random.IntN(1000)))
	return a.closes(c, "its body does not come")
}
