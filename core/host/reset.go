package host

import (
	"io"
	"net"
	"time"

	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// Reset resets the TCP connection that c is or wraps, so that the client sees a broken
// response even on HTTP/1.0, where a proper close is the end of a whole one. What the
// kernel has not sent is lost. The caller must still close c.
//
// Reset looks below TLS, which would send a closing message first, and into wrappers that
// embed a [net.Conn], as listeners use them. If it finds no TCP connection, it closes what
// is below TLS, or does nothing.
func Reset(c net.Conn) { netpoll.Reset(c) }

// ResetOnClose makes any close of the TCP connection that c is or wraps reset it, whether
// the host closes it because a write has failed, or the kernel because the process has
// ended. It is for a response of HTTP/1.0 that is not whole yet. If on is false, a close
// is a proper one again. It finds the connection as [Reset] does, and does nothing if there
// is none.
func ResetOnClose(c net.Conn, on bool) error { return netpoll.ResetOnClose(c, on) }

// Linger closes our side of c. Then it reads and drops what the client still sends, until
// the client closes its side, for at most half a second and [MaxBody] bytes. Then the
// caller must close c. Closing a TCP connection that has unread input resets it, and the
// client may lose the end of a whole response.
//
// Like [Reset] it looks below TLS and into wrappers that embed a [net.Conn].
func Linger(c net.Conn) {
	until := time.Now().Add(linger)
	_ = c.SetReadDeadline(until)
	netpoll.CloseWrite(c)
	if _, err := io.CopyN(io.Discard, c, MaxBody); err == nil {
		<-time.After(time.Until(until)) // closing sooner would reset it
	}
}
