package host

import (
	"io"
	"net"
	"time"

	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// Reset resets the TCP connection that c is, or is made of, so that the client sees
// a broken response even on HTTP/1.0, where a proper close is the end of a whole
// one. What the kernel has not sent is lost. The caller still has to close c.
//
// It looks below TLS, which would say goodbye, and through what embeds a [net.Conn],
// as listeners wrap connections. If there is no TCP connection to be found, what is
// below TLS is closed, and nothing else.
func Reset(c net.Conn) { netpoll.Reset(c) }

// ResetOnClose has a close of the TCP connection that c is, or is made of, reset it,
// whoever closes it: the host when a write fails, or the kernel when the process
// ends. So it is for a response of HTTP/1.0 as long as that is not whole. If on is
// false, a close is a proper one again. It looks where [Reset] does, and does nothing
// if there is no TCP connection to be found.
func ResetOnClose(c net.Conn, on bool) error { return netpoll.ResetOnClose(c, on) }

// Linger tells the client that nothing more will come, and reads and drops what it
// still says until it closes its side, or for half a second. More than [MaxBody] is
// not read. The caller closes c then. A TCP connection that is closed with input that
// nobody has read is reset, and the client may lose the end of a whole response.
//
// Like [Reset] it looks below TLS and through what embeds a [net.Conn].
func Linger(c net.Conn) {
	until := time.Now().Add(linger)
	_ = c.SetReadDeadline(until)
	netpoll.CloseWrite(c)
	if _, err := io.CopyN(io.Discard, c, MaxBody); err == nil {
		<-time.After(time.Until(until)) // to close sooner would reset it
	}
}
