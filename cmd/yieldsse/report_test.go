package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

func TestReport(t *testing.T) {
	now := clock()
	m := newMeter(nil, 1, now)
	m.events.Store(1000)
	m.bytes.Store(1000)
	m.begin(1234 * time.Millisecond)
	m.conns.Store(3)
	p := m.probe(1)
	for i := range 2 {
		p.took = time.Duration(i+1) * time.Millisecond
		p.connected(&http.Response{Proto: "HTTP/2.0"})
		p.disconnected(io.ErrUnexpectedEOF)
	}
	p.disconnected(errors.New("client: a\nb"))
	p.bytes.Add(123_456)
	for i := range 4 {
		p.event(core.Event{Data: fmt.Sprint(time.Date(2030, 1, 2, 3, 4, 0, 0, time.UTC).Unix() + int64(i))}, "")
	}
	p.event(core.Event{Data: "2040-01-02T03:04:05Z"}, "")
	r := newReport(m, m.end())
	r.URL, r.Streams = "http://a/", 5

	const head = `url         http://a/
streams     5, of which 0 are open at the end and 0 have given up; opened in 1.23s
http        HTTP/2.0, 3 connections made
connect     p50 1ms  p90 2ms  p99 2ms  max 2ms
events      5 in 6s, 0.8/s
bytes       123.5 kB, 20.58 kB/s
`
	const tail = `reconnects  1
errors      3
                 2  the connection broke in the middle of the response
                 1  a b
`
	equal(t, "report", string(r.text()), head+
		`latency     p50 8s  p90 8s  p99 8s  max 8s  of 4 events
latency     1 event arrived before the time in the event: the clocks differ
`+tail)

	r.OtherMachine, r.Early = true, 0
	equal(t, "report of another machine", string(r.text()), head+
		`latency     p50 8s  p90 8s  p99 8s  max 8s  of 4 events
            the server is on another machine: the latency includes the difference between the two clocks
`+tail)

	r.Latency = nil
	equal(t, "report without times", string(r.text()), head+
		"latency     unknown: no event has a time (see --time-field)\n"+tail)
}

// However many different errors there are, memory is bounded.
func TestManyErrors(t *testing.T) {
	m := newMeter(nil, 1, clock())
	for i := range 100 {
		m.probe(0).disconnected(fmt.Errorf("error %d", i))
	}
	r := newReport(m, m.end())
	equal(t, "errors", len(r.Errors), maxErrors+1)
	equal(t, "the most frequent one", r.Errors[0], errorCount{otherErrors, 80})
}

func TestExplain(t *testing.T) {
	ask := func(err error) error {
		return fmt.Errorf("client: %w", &url.Error{Op: "Get", URL: "http://a/", Err: err})
	}
	dial := func(err error) error {
		return ask(&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(1, 2, 3, 4), Port: 5}, Err: err})
	}
	read := func(err error) error {
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 34567}
		return fmt.Errorf("core: read: %w", &net.OpError{Op: "read", Net: "tcp", Source: from, Err: err})
	}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"an unknown host", dial(&net.DNSError{Name: "a.example", Err: "no such host", IsNotFound: true}), `the host "a.example" is unknown`},
		{"a refusal", dial(syscall.ECONNREFUSED), "cannot connect to 1.2.3.4:5: connection refused"},
		{"too many files", dial(syscall.EMFILE), "cannot connect to 1.2.3.4:5: too many open files"},
		{"a timeout", dial(syscall.ETIMEDOUT), "cannot connect to 1.2.3.4:5: timeout"},
		{"a reset", read(syscall.ECONNRESET), "the connection broke: connection reset by peer"},
		{"another end", read(net.ErrClosed), "the connection broke: use of closed network connection"},
		{"no answer", ask(io.EOF), "the server closed the connection without an answer"},
		{"no TLS", ask(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}),
			"the server does not speak TLS: try http:// instead of https://"},
		{"HTTP/2", errors.New("core: read: stream error: stream ID 17; INTERNAL_ERROR; received from peer"),
			"stream error: stream; INTERNAL_ERROR; received from peer"},
		{"any other", errors.New("client: something"), "something"},
	} {
		t.Run(c.name, func(t *testing.T) { equal(t, "sentence", explain(c.err), c.want) })
	}
}

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"a terminal", true, "\r\x1b[Kline 1\r\x1b[Kline 2\r\x1b[Kline 3\r\x1b[Kline 4\r\x1b[Kline 5\r\x1b[Kline 6\r\x1b[K"},
		{"a file", false, "line 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				n := 0
				stop := showProgress(&b, c.terminal, func() string {
					n++
					return fmt.Sprint("line ", n)
				})
				time.Sleep(6*time.Second + time.Millisecond) //nolint:forbidigo // in a bubble
				stop()
				equal(t, "progress", b.String(), c.want)
			})
		})
	}
}

func TestProgressLine(t *testing.T) {
	m := newMeter(nil, 1, clock())
	m.open.Store(3)
	equal(t, "at first", m.progress(10), "opening: 3 of 10 open, 0 events/s, 0 B/s, 0 reconnects, 0 errors")
	m.begin(0)
	m.events.Store(500)
	m.bytes.Store(6000)
	m.reconnect.Store(1)
	m.probe(0).disconnected(io.EOF)
	equal(t, "then", m.progress(10), "1s: 3 of 10 open, 250 events/s, 3 kB/s, 1 reconnect, 1 error")
	equal(t, "at last", m.progress(10), "2s: 3 of 10 open, 0 events/s, 0 B/s, 1 reconnect, 1 error")
}
