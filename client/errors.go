package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/yieldsse/yieldsse/core"
)

// Why a stream or a connection ended. A stream's last element is one of these or another
// error, and so is the error that [WithRetryPolicy] and [WithDisconnected] get.
var (
	// ErrStopped means that the server has answered with 204: there will be no more
	// events. The retry policy is not asked.
	ErrStopped = errors.New("client: the server has stopped the stream (204 No Content)")

	// ErrEnded means that a response came to its proper end. The client connects
	// again, unless the policy says no.
	ErrEnded = errors.New("client: the response has ended")

	// ErrIdle means that the server sent nothing for as long as [WithIdleTimeout]
	// allows, or no headers within the Timeout of an [http.Client].
	ErrIdle = errors.New("client: the server has sent nothing")

	// ErrStatus means that a response had a status other than 200. The error is
	// a *ResponseError.
	ErrStatus = errors.New("client: the response has a status other than 200")

	// ErrMediaType means that a response was not text/event-stream, was compressed, or was
	// declared an event stream and had lines that are neither fields nor comments, and no
	// field. The last is not an error if the response lasted 30 s, except with [WithOnce]:
	// such lines may be heartbeats. The error is a *ResponseError.
	ErrMediaType = errors.New("client: the response is not an event stream")
)

// A ResponseError is a response that was not an event stream. It keeps the body, because
// some servers answer with a stream or, with status 200, in JSON.
type ResponseError struct {
	Err    error       // what was wrong: matches ErrStatus or ErrMediaType
	Status int         // such as 404
	Header http.Header // of the response

	// Body is the beginning of the body, up to 1 MiB. Reading stops when no byte has
	// come for 1 s, and in any case after 10 s.
	Body []byte
}

func refuse(res *http.Response, sentinel error, format string, args ...any) *ResponseError {
	what := fmt.Sprintf(format, args...)
	return &ResponseError{
		Err:    fmt.Errorf("%w: %s %s: %s", sentinel, res.Request.Method, res.Request.URL.Redacted(), what),
		Status: res.StatusCode,
		Header: res.Header,
	}
}

// Error names the request, what was wrong, and how the body begins.
func (e *ResponseError) Error() string {
	if len(e.Body) == 0 || e.Header.Get("Content-Encoding") != "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v: %.200q", e.Err, e.Body)
}

// Unwrap returns e.Err.
func (e *ResponseError) Unwrap() error { return e.Err }

// Retryable is the default retry policy. It retries after a response that ended or
// broke off, after a request that got no response, including the first one, and after
// the statuses of a server that is overloaded, slow or starting up: 408, 425, 429, 500,
// 502, 503 and 504, and those that proxies have added: 520 to 525, 529 and 530.
//
// It does not retry after any other status, a response that is not an event stream, a
// certificate that is not trusted, or a redirect to a URL that is not http or https,
// because another try would not change these.
func Retryable(err error) bool {
	var refused *ResponseError
	if !errors.As(err, &refused) {
		return !final(err) && !untrusted(err) && !unreachable(err)
	}
	switch refused.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		520, 521, 522, 523, 524, 525, // Cloudflare's: the server does not answer, or not in a way that it understands
		529, // the server is overloaded
		530: // Cloudflare's: it cannot find the server
		return true
	}
	return false
}

// final reports whether the policy is not asked: the server does not want a
// reconnection, or it would bring the same event again.
func final(err error) bool {
	return errors.Is(err, ErrStopped) || errors.Is(err, core.ErrEventTooLarge)
}

// untrusted reports whether err is about the server's certificate. A verification by the
// application may return the errors of crypto/x509 unwrapped.
func untrusted(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) ||
		errors.As(err, &hostname) || errors.As(err, &invalid)
}

// unreachable reports whether err is about a URL to which no request can be sent. The
// request's own URL has been checked, so a redirect has led there.
func unreachable(err error) bool {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return false
	}
	u, err := url.Parse(failed.URL)
	return err == nil && u.IsAbs() && !reachable(u)
}
