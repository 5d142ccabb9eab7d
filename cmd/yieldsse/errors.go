package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
)

// explain returns err as a sentence for the user. Equal failures have equal sentences,
// without the local port or the number of a stream.
func explain(err error) string {
	var (
		refused   *client.ResponseError
		unknown   *net.DNSError
		untrusted *tls.CertificateVerificationError
		notTLS    tls.RecordHeaderError
		op        *net.OpError
		request   *url.Error
	)
	switch {
	case errors.Is(err, core.ErrEventTooLarge):
		return strings.Replace(plain(err), "raise MaxEventSize", "raise --max-event-size", 1)
	case errors.As(err, &refused) && strings.HasSuffix(refused.Err.Error(), tooManyRedirects):
		return "the server redirects without end: " + tooManyRedirects
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return fmt.Sprintf("the host %q is unknown", unknown.Name)
	case errors.As(err, &untrusted):
		return fmt.Sprintf("the server's certificate is not trusted: %v (-k accepts it)", untrusted.Err)
	case errors.As(err, &x509.HostnameError{}):
		return fmt.Sprintf("the server's certificate is not trusted: %v (-k accepts it)", err)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &notTLS):
		return "the server does not speak TLS: try http:// instead of https://"
	case errors.As(err, &op) && isDial(op):
		return fmt.Sprintf("cannot connect to %v: %s", op.Addr, cause(op))
	case errors.As(err, &op):
		return "the connection broke: " + cause(op)
	case errors.Is(err, io.ErrUnexpectedEOF) && errors.Is(err, client.ErrEnded):
		return "the response has ended in the middle of an event, which is lost"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke in the middle of the response"
	case errors.As(err, &request) && errors.Is(request.Err, io.EOF):
		return "the server closed the connection without an answer"
	case errors.As(err, &request):
		return noAnswer(request.Err)
	}
	return plain(err)
}

// noAnswer explains why net/http could not use the server's answer. These errors have no
// types.
func noAnswer(err error) string {
	const noHTTP = "the server's answer is not an HTTP response: "
	s, broken := strings.CutPrefix(plain(err), "HTTP/1.x transport connection broken: ")
	s = strings.TrimPrefix(s, "net/http: ")
	for _, reason := range []struct{ prefix, instead string }{
		{"unsupported protocol scheme ", "only http and https are supported: the server redirects to a URL with the scheme "},
		{"failed to parse Location header ", "the server redirects to an invalid URL: "},
		{"server response headers exceeded ", noHTTP + "its headers exceeded "},
		{"malformed HTTP response ", noHTTP + "it begins with "},
		{"malformed HTTP ", noHTTP + "malformed "}, // status code, version
		{"malformed MIME header", noHTTP + "malformed header"},
	} {
		if rest, ok := strings.CutPrefix(s, reason.prefix); ok {
			return excerpt(reason.instead + rest)
		}
	}
	if broken {
		s = noHTTP + s
	}
	return excerpt(s)
}

// excerpt returns s, or its beginning if it is long.
func excerpt(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

func isDial(op *net.OpError) bool { return op.Op == "dial" && op.Addr != nil }

// cause returns the operating system's error text.
func cause(op *net.OpError) string {
	var errno syscall.Errno
	switch {
	case op.Timeout():
		return "timeout"
	case errors.As(op, &errno):
		return errno.Error()
	}
	return op.Err.Error()
}

// tooManyRedirects ends the error of an http.Client that has followed too many
// redirects. The error has no type.
const tooManyRedirects = "stopped after 10 redirects"

var streamNumber = regexp.MustCompile(`stream ID \d+|LastStreamID=\d+`)

// plain returns err's text without the names of packages in front.
func plain(err error) string {
	s := err.Error()
	for _, name := range []string{"client: ", "core: read: ", "core: ", "net/http: "} {
		s = strings.TrimPrefix(s, name)
	}
	return streamNumber.ReplaceAllString(s, "stream")
}
