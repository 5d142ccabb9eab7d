package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	"github.com/yieldsse/yieldsse/core"
)

// explain returns err as a sentence for whoever ran the program. Equal failures
// have equal sentences: no port of this side's and no number of a stream is in it.
func explain(err error) string {
	var (
		unknown   *net.DNSError
		untrusted *tls.CertificateVerificationError
		op        *net.OpError
		request   *url.Error
	)
	switch {
	case errors.Is(err, core.ErrEventTooLarge):
		return strings.Replace(plain(err), "event too large: over", "an event is larger than", 1) + " (see --max-event-size)"
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return fmt.Sprintf("the host %q is unknown", unknown.Name)
	case errors.As(err, &untrusted):
		return fmt.Sprintf("the server's certificate is not trusted: %v (-k accepts it)", untrusted.Err)
	case errors.As(err, &x509.HostnameError{}):
		return fmt.Sprintf("the server's certificate is not trusted: %v (-k accepts it)", err)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"): // it has no type
		return "the server does not speak TLS: try http:// instead of https://"
	case errors.As(err, &op) && isDial(op):
		return fmt.Sprintf("cannot connect to %v: %s", op.Addr, cause(op))
	case errors.As(err, &op):
		return "the connection broke: " + cause(op)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke in the middle of the response"
	case errors.As(err, &request) && errors.Is(request.Err, io.EOF):
		return "the server closed the connection without an answer"
	}
	return plain(err)
}

func isDial(op *net.OpError) bool { return op.Op == "dial" && op.Addr != nil }

// cause returns the system's own words for what happened.
func cause(op *net.OpError) string {
	var errno syscall.Errno
	switch {
	case op.Timeout():
		return "it took too long"
	case errors.As(op, &errno):
		return errno.Error()
	}
	return op.Err.Error()
}

var streamNumber = regexp.MustCompile(`stream ID \d+|LastStreamID=\d+`)

// plain returns what err says, without the names of packages before it.
func plain(err error) string {
	s := err.Error()
	for _, name := range []string{"client: ", "core: read: ", "core: "} {
		s = strings.TrimPrefix(s, name)
	}
	return streamNumber.ReplaceAllString(s, "stream")
}
