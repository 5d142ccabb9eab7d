package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

// Answers after which there is no other request.
func TestFinalAnswers(t *testing.T) {
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(zip, frames(1, 1))
	_ = zip.Close()
	answer := func(status, header, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
	}
	page := "<!DOCTYPE html><title>Sign in</title>"
	reply := `{"text": "` + strings.Repeat("tokens ", 20_000) + `"}`
	tests := []struct {
		name, answer string
		err          error
		status       int
		body         string
		text         []string
	}{
		{"204", stop, client.ErrStopped, 0, "", []string{"204"}},
		{"404", answer("404 Not Found", "X-Why: gone\r\n", "no such stream"), client.ErrStatus, 404, "no such stream", []string{"GET http://", "404 Not Found", `"no such stream"`}},
		{"401 with no body", answer("401 Unauthorized", "", ""), client.ErrStatus, 401, "", []string{"401 Unauthorized"}},
		{"201", answer("201 Created", "Content-Type: text/event-stream\r\n", frames(1, 1)), client.ErrStatus, 201, frames(1, 1), []string{"201 Created"}},
		{"205", answer("205 Reset Content", "", ""), client.ErrStatus, 205, "", []string{"205"}},
		{"206", answer("206 Partial Content", "Content-Type: text/event-stream\r\n", frames(1, 1)), client.ErrStatus, 206, frames(1, 1), []string{"206"}},
		{"304", "HTTP/1.1 304 Not Modified\r\n\r\n", client.ErrStatus, 304, "", []string{"304"}},
		{"501", answer("501 Not Implemented", "", ""), client.ErrStatus, 501, "", []string{"501"}},
		{"a redirect to nowhere", answer("302 Found", "", ""), client.ErrStatus, 302, "", []string{"302 Found"}},
		{"a redirect to itself", "loop", client.ErrStatus, 302, "", []string{"302 Found", "10 redirects"}},
		{"HTML", answer("200 OK", "Content-Type: text/html; charset=utf-8\r\n", page), client.ErrMediaType, 200, page, []string{`"text/html; charset=utf-8"`, "Sign in"}},
		{"plain text", answer("200 OK", "Content-Type: text/plain\r\n", frames(1, 1)), client.ErrMediaType, 200, frames(1, 1), []string{`"text/plain"`}},
		{"a longer name", answer("200 OK", "Content-Type: text/event-streams\r\n", ""), client.ErrMediaType, 200, "", []string{"text/event-streams"}},
		{"no media type", answer("200 OK", "", frames(1, 1)), client.ErrMediaType, 200, frames(1, 1), []string{`Content-Type is ""`}},
		{
			"gzip", answer("200 OK", "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n", zipped.String()),
			client.ErrMediaType, 200, zipped.String(), []string{`Content-Encoding is "gzip"`, "not asked for"},
		},
		{
			"a long page", answer("403 Forbidden", "", strings.Repeat("no entry ", 1000)),
			client.ErrStatus, 403, strings.Repeat("no entry ", 1000), []string{"no entry"},
		},
		{"JSON", answer("200 OK", "Content-Type: application/json\r\n", reply), client.ErrMediaType, 200, reply, []string{`"application/json"`, "tokens"}},
		{"JSON that says it is a stream", chunked + chunk(reply) + "0\r\n\r\n", client.ErrMediaType, 200, reply, []string{"GET http://", `"text/event-stream"`, "tokens"}},
		{"a page that says it is a stream", ok + page, client.ErrMediaType, 200, page, []string{`"text/event-stream"`, "Sign in"}},
		{"unknown lines", ok + "\nfoo: 1\n\nbar\n\n", client.ErrMediaType, 200, "\nfoo: 1\n\nbar\n\n", []string{"foo: 1"}},
		{
			"two media types, of which the last is another", answer("200 OK", "Content-Type: text/event-stream\r\nContent-Type: text/html\r\n", page),
			client.ErrMediaType, 200, page, []string{`"text/event-stream, text/html"`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			answers := []string{tt.answer, ok + frames(1, 1)}
			if tt.answer == "loop" {
				answers = slices.Repeat([]string{"HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\n\r\n"}, 10)
			}
			s := serve(t, answers...)
			events, err := collect(t, client.Stream(get(t, s.url), soon()))
			ssetest.Equal(t, events, nil)
			wantErr(t, err, tt.err)
			for _, sentinel := range []error{client.ErrStopped, client.ErrStatus, client.ErrMediaType} {
				if sentinel != tt.err && errors.Is(err, sentinel) {
					t.Errorf("got error %v, which matches %v too", err, sentinel)
				}
			}
			for _, text := range append(tt.text, "client: ") {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("got error %v, want one that says %s", err, text)
				}
			}
			if strings.Contains(err.Error(), `\x1f`) {
				t.Errorf("got error %v, which shows what is compressed", err)
			}
			if got := len(err.Error()); got > 600 {
				t.Errorf("got an error of %d bytes", got)
			}
			if got, want := len(s.seen()), max(1, len(answers)-1); tt.answer != "loop" && got != want {
				t.Errorf("got %d requests, want %d", got, want)
			}
			var refused *client.ResponseError
			if got, want := asError(err, &refused), tt.status != 0; got != want {
				t.Fatalf("got a *ResponseError: %v, want %v", got, want)
			}
			if refused == nil {
				return
			}
			if refused.Status != tt.status || string(refused.Body) != tt.body {
				t.Errorf("got status %d and body %q, want %d and %q", refused.Status, refused.Body, tt.status, tt.body)
			}
			if tt.status == 404 && refused.Header.Get("X-Why") != "gone" {
				t.Errorf("got headers %v, want the response's", refused.Header)
			}
		})
	}
}

// An answer that is not a stream may be slow or endless. The client does not wait for it.
func TestRefusalWithoutEnd(t *testing.T) {
	ssetest.NoLeaks(t)
	for name, more := range map[string]string{"slow": "", "endless": strings.Repeat("x", 2<<20)} {
		t.Run(name, func(t *testing.T) {
			s := serveRaw(t, func(c net.Conn) {
				_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\n\r\nno entry"+more)
				_, _ = io.Copy(io.Discard, c) // until the client leaves
			})
			_, err := collect(t, client.Stream(get(t, s.url), soon()))
			wantErr(t, err, client.ErrStatus)
			var refused *client.ResponseError
			if want := min(len("no entry"+more), 1<<20); !asError(err, &refused) || string(refused.Body) != ("no entry" + more)[:want] {
				t.Errorf("got error %v, want one with %d bytes of the body", err, want)
			}
		})
	}
}

func TestMediaTypes(t *testing.T) {
	for _, kind := range []string{
		"text/event-stream", "text/event-stream;", "text/event-stream; charset=utf-8", "text/event-stream;charset=latin1;x",
		"TEXT/Event-Stream", " text/event-stream ; charset=\"utf-8\"", "text/event-stream\r\nContent-Encoding: identity",
		"text/html\r\nContent-Type: text/event-stream", "text/html, text/event-stream; charset=utf-8",
		"text/event-stream\r\nContent-Type: */*", "text/event-stream, none, a/b/c, /, text/", "text/event-stream\r\nContent-Type: ",
	} {
		t.Run(kind, func(t *testing.T) {
			s := serve(t, "HTTP/1.1 200 OK\r\nContent-Type: "+kind+"\r\n\r\n"+frames(1, 2))
			got, err := collect(t, client.Stream(get(t, s.url), soon()))
			wantErr(t, err, client.ErrStopped)
			ssetest.Equal(t, got, numbered(1, 2))
		})
	}
}

// Load balancers answer like this during a deploy.
func TestRetriedAnswers(t *testing.T) {
	for _, status := range []int{408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 529, 530} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			ssetest.NoLeaks(t)
			busy := fmt.Sprintf("HTTP/1.1 %d Busy\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nbusy", status)
			s := serve(t, busy, busy, ok+frames(1, 2), busy, ok+frames(3, 4))
			var failures []int
			got, err := collect(t, client.Stream(get(t, s.url), soon(),
				client.WithRetryPolicy(func(err error, n int) bool {
					failures = append(failures, n)
					return client.Retryable(err)
				})))
			wantErr(t, err, client.ErrStopped)
			ssetest.Equal(t, got, numbered(1, 4))
			if got, want := s.lastEventIDs(), []string{"-", "-", "-", "2", "2", "4"}; !slices.Equal(got, want) {
				t.Errorf("got Last-Event-IDs %q, want %q", got, want)
			}
			if want := []int{1, 2, 1, 2, 1}; !slices.Equal(failures, want) {
				t.Errorf("got failures in a row %d, want %d", failures, want)
			}
		})
	}
}

func TestRetryPolicy(t *testing.T) {
	page := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>sign in"
	gone := "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	elsewhere := "HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	always := func(error, int) bool { return true }
	tests := []struct {
		name     string
		answers  []string
		policy   func(error, int) bool
		want     []core.Event
		err      error
		requests int
	}{
		{"never", []string{ok + frames(1, 2)}, func(error, int) bool { return false }, numbered(1, 2), client.ErrEnded, 1},
		{"always", []string{gone, page, "", ok + frames(1, 2)}, always, numbered(1, 2), client.ErrStopped, 5},
		{"always, but 204 is the end", []string{stop, ok + frames(1, 2)}, always, nil, client.ErrStopped, 1},
		{"twice", []string{"", "", "", ok + frames(1, 2)}, func(_ error, n int) bool { return n < 3 }, nil, io.EOF, 3},
		{"twice after a healthy one", []string{ok + frames(1, 2), "", "", ok}, func(_ error, n int) bool { return n < 3 }, numbered(1, 2), io.EOF, 3},
		{"not the end", []string{gone, ok + frames(1, 2)}, func(err error, _ int) bool { return !errors.Is(err, client.ErrEnded) }, numbered(1, 2), client.ErrEnded, 2},
		{"nil is the default", []string{"", gone}, nil, nil, client.ErrStatus, 2},
		{"always, even a redirect to nowhere", []string{elsewhere, elsewhere, ok + frames(1, 2)}, always, numbered(1, 2), client.ErrStopped, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.answers...)
			got, err := collect(t, client.Stream(get(t, s.url), soon(), client.WithRetryPolicy(tt.policy)))
			wantErr(t, err, tt.err)
			ssetest.Equal(t, got, tt.want)
			if got := len(s.seen()); got != tt.requests {
				t.Errorf("got %d requests, want %d", got, tt.requests)
			}
		})
	}
}

func TestRetryable(t *testing.T) {
	of := func(url string, err error) error {
		return fmt.Errorf("client: %w", &neturl.Error{Op: "Get", URL: url, Err: err})
	}
	unsupported := errors.New("unsupported protocol scheme")
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"the end", client.ErrEnded, true},
		{"silence", client.ErrIdle, true},
		{"the network", of("https://example.com/x", io.EOF), true},
		{"the network after a redirect", of("http://a:***@example.com/x", io.EOF), true},
		{"a place that is relative", of("/x", io.EOF), true},
		{"not a URL", of("http://[/", io.EOF), true},
		{"204", client.ErrStopped, false},
		{"an event that is too large", core.ErrEventTooLarge, false},
		{"another scheme", of("ftp://example.com/x", unsupported), false},
		{"a scheme without a host", of("mailto:a@example.com", unsupported), false},
		{"no host", of("http:///x", errors.New("http: no Host in request URL")), false},
		{"a certificate", of("https://example.com", &tls.CertificateVerificationError{Err: errors.New("too old")}), false},
		{"an authority, in the application's own check", of("https://example.com", x509.UnknownAuthorityError{}), false},
		{"a host name, in the application's own check", of("https://example.com", x509.HostnameError{Certificate: new(x509.Certificate)}), false},
		{"a certificate, in the application's own check", of("https://example.com", x509.CertificateInvalidError{Reason: x509.Expired}), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := client.Retryable(tt.err); got != tt.want {
				t.Errorf("got %t for %v, want %t", got, tt.err, tt.want)
			}
		})
	}
}

// A redirect to a URL to which no request can be sent would lead there again.
func TestRedirectElsewhere(t *testing.T) {
	for place, want := range map[string]string{
		"ftp://127.0.0.1/x":    `unsupported protocol scheme "ftp"`,
		"mailto:a@example.com": `unsupported protocol scheme "mailto"`,
		"http:///x":            "no Host in request URL",
	} {
		t.Run(place, func(t *testing.T) {
			ssetest.NoLeaks(t)
			s := serve(t, ok+frames(1, 1), "HTTP/1.1 302 Found\r\nLocation: "+place+"\r\nContent-Length: 0\r\n\r\n", ok+frames(2, 2))
			got, err := collect(t, client.Stream(get(t, s.url), soon()))
			ssetest.Equal(t, got, numbered(1, 1))
			if !strings.HasPrefix(err.Error(), "client: ") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), place) {
				t.Errorf("got error %v, want one that says %s and names %s", err, want, place)
			}
			if got := len(s.seen()); got != 2 {
				t.Errorf("got %d requests, want 2", got)
			}
		})
	}
}

// A certificate that is not trusted ends the stream, unless the policy retries.
func TestCertificates(t *testing.T) {
	trusted := func(srv *httptest.Server) *http.Transport { return srv.Client().Transport.(*http.Transport).Clone() }
	tests := []struct {
		name      string
		transport func(*httptest.Server) *http.Transport
		policy    func(error, int) bool
		want      string
		attempts  int32
	}{
		{"trusted", trusted, nil, "204", 1},
		{"unknown authority", func(*httptest.Server) *http.Transport { return nil }, nil, "certificate", 1},
		{"another host", func(srv *httptest.Server) *http.Transport {
			transport := trusted(srv)
			transport.TLSClientConfig.ServerName = "other.test"
			return transport
		}, nil, "not other.test", 1},
		{"a check of one's own", func(srv *httptest.Server) *http.Transport {
			transport := trusted(srv)
			transport.TLSClientConfig.VerifyConnection = func(state tls.ConnectionState) error {
				return state.PeerCertificates[0].VerifyHostname("other.test")
			}
			return transport
		}, nil, "not other.test", 1},
		{
			"forgiven twice", func(*httptest.Server) *http.Transport { return nil },
			func(_ error, n int) bool { return n < 3 }, "certificate", 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			var attempts atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNoContent)
			}))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					attempts.Add(1)
				}
			}
			srv.StartTLS()
			defer srv.Close()
			var opts []client.Option
			if transport := tt.transport(srv); transport != nil {
				defer transport.CloseIdleConnections()
				opts = append(opts, client.WithHTTPClient(&http.Client{Transport: transport}))
			}

			_, err := collect(t, client.Stream(get(t, srv.URL), append(opts, soon(), client.WithRetryPolicy(tt.policy))...))
			if !strings.HasPrefix(err.Error(), "client: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that says %s", err, tt.want)
			}
			if got := attempts.Load(); got != tt.attempts {
				t.Errorf("got %d connections, want %d", got, tt.attempts)
			}
		})
	}
}

// The stream waits as long as an overloaded server asks for.
func TestRetryAfter(t *testing.T) {
	ssetest.NoLeaks(t)
	requests := 0
	url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var waits []time.Duration
	_, err := collect(t, client.Stream(get(t, url).WithContext(ctx), soon(), client.WithDisconnected(func(err error, wait time.Duration) {
		wantErr(t, err, client.ErrStatus)
		waits = append(waits, wait)
		cancel()
	})))
	wantErr(t, err, context.Canceled)
	if len(waits) != 1 || waits[0] < time.Minute || waits[0] > time.Minute+time.Millisecond {
		t.Errorf("got waits %v, want one of a minute", waits)
	}
	if requests != 1 {
		t.Errorf("got %d requests, want 1", requests)
	}
}

// If a server falls silent, the stream makes another connection.
func TestSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		first  string
		events int
	}{
		"before the headers":   {"", 0},
		"in the headers":       {ok[:30], 0},
		"behind the headers":   {ok, 0},
		"behind an event":      {ok + frames(1, 1), 1},
		"in the next event":    {ok + frames(1, 1) + "data: eve", 1},
		"behind the heartbeat": {ok + ":\n\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			s := serveRaw(t, func(c net.Conn) {
				_, _ = io.WriteString(c, tt.first)
				_, _ = io.Copy(io.Discard, c) // until the client leaves
			})
			const limit = 500 * time.Millisecond // which the first answer has, too
			var why []error
			start := time.Now()
			got, err := collect(t, client.Stream(get(t, s.url), soon(), client.WithIdleTimeout(limit),
				client.WithDisconnected(func(err error, _ time.Duration) {
					if why = append(why, err); time.Since(start) < limit {
						t.Errorf("the connection was given up after %v, want %v", time.Since(start), limit)
					}
				})))
			wantErr(t, err, client.ErrStopped)
			ssetest.Equal(t, got, numbered(1, tt.events))
			if len(why) == 0 {
				t.Fatal("got no disconnection")
			}
			wantErr(t, why[0], client.ErrIdle)
		})
	}
}

// A relay passes on what doc.go says.
func TestRelay(t *testing.T) {
	tests := []struct {
		name, answer string
		opts         []client.Option
		want         []core.Event
	}{
		{"204", stop, nil, nil},
		{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", nil, nil},
		{"retry", ok + "retry: 5\n\n" + frames(1, 1), nil, numbered(1, 1)},
		{"retry with an event", ok + "retry: 5\n" + frames(1, 1), nil, []core.Event{{ID: "1", Data: "event 1", Retry: 5 * time.Millisecond}}},
		{
			"retry with comments", ok + "retry: 5\n\n" + frames(1, 1), []client.Option{client.WithComments()},
			[]core.Event{{Retry: 5 * time.Millisecond}, numbered(1, 1)[0]},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			upstream := serve(t, tt.answer)
			relay := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				return client.Stream(get(t, upstream.url).WithContext(r.Context()), append(tt.opts, soon())...)
			}))
			res, err := http.DefaultClient.Do(get(t, relay))
			if err != nil {
				t.Fatal(err)
			}
			defer http.DefaultClient.CloseIdleConnections()
			defer res.Body.Close()
			parser := core.Parser{Comments: true}
			got, err := collect(t, parser.Read(res.Body))
			wantErr(t, err, io.ErrUnexpectedEOF)
			got = slices.DeleteFunc(got, func(e core.Event) bool { return e.Comment != "" && e.Retry == 0 })
			ssetest.Equal(t, got, tt.want)
		})
	}
}

func TestHooks(t *testing.T) {
	s := serve(t,
		"HTTP/1.1 307 Temporary Redirect\r\nLocation: /there\r\nConnection: close\r\n\r\n",
		strings.Replace(ok, "\r\n\r\n", "\r\nX-Server: a\r\n\r\n", 1)+frames(1, 1),
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
		ok+frames(2, 2))
	var log []string
	note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	for e, err := range client.Stream(get(t, s.url+"/here"),
		client.WithBackoff(2*time.Millisecond, 0),
		client.WithConnected(func(res *http.Response) {
			body, err := io.ReadAll(res.Body)
			note("connected: %d %s %s %q %v", res.StatusCode, res.Request.URL.Path, res.Header.Get("X-Server"), body, err)
		}),
		client.WithDisconnected(func(err error, wait time.Duration) {
			note("disconnected: %t %t %v", errors.Is(err, client.ErrEnded), errors.Is(err, client.ErrStatus), wait)
		})) {
		note("%s %t", e.Data, errors.Is(err, client.ErrStopped))
	}
	want := []string{
		`connected: 200 /there a "" <nil>`,
		"event 1 false",
		"disconnected: true false 2ms",
		"disconnected: false true 2ms",
		`connected: 200 /here  "" <nil>`,
		"event 2 false",
		"disconnected: true false 2ms",
		" true",
	}
	if !slices.Equal(log, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(log, "\n"), strings.Join(want, "\n"))
	}
}

// Comments are yielded as soon as their lines arrive, with or without a blank line.
func TestCommentsAtOnce(t *testing.T) {
	heard := make(chan struct{})
	s := serveRaw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, ok)
		for range 5 {
			_, _ = io.WriteString(c, ": beat\n")
			select {
			case <-heard:
			case <-t.Context().Done():
			}
		}
	})
	n := 0
	for e, err := range client.Stream(get(t, s.url), client.WithComments(), client.WithOnce("")) {
		if n++; err != nil || e != (core.Event{Comment: "beat"}) {
			t.Fatalf("got %+v, %v, want comment %d", e, err, n)
		}
		heard <- struct{}{}
	}
	if n != 5 {
		t.Errorf("got %d comments, want 5", n)
	}
}

// The loop sees the stream's position even if no event has it, and a reconnection
// resumes from there.
func TestPositions(t *testing.T) {
	s := serve(t,
		ok+frames(1, 1)+"id: 7\n\n",
		ok+"id: 7\n\ndata: a\n\nid\ndata: b\n\n",
		ok+"id: 8\ndata: c\n\n: hb\n\nid\n\n",
		ok+"id: 9\n")
	got, err := collect(t, client.Stream(get(t, s.url), soon(), client.WithPositions("at")))
	wantErr(t, err, client.ErrStopped)
	ssetest.Equal(t, got, []core.Event{
		{ID: "1", Data: "event 1"}, {ID: "7", Type: "at"}, {ID: "7", Data: "a"}, {Data: "b"}, {ID: "8", Data: "c"}, {Type: "at"},
	})
	if got, want := s.lastEventIDs(), []string{"-", "7", "-", "-", "-"}; !slices.Equal(got, want) {
		t.Errorf("got Last-Event-IDs %q, want %q", got, want)
	}
}

// If the request's body can be sent again, the stream can be read again, and each time
// the request is sent once.
func TestOnceAgain(t *testing.T) {
	s := serve(t, ok+frames(1, 2), ok+frames(1, 2))
	stream := client.Stream(request(t, http.MethodPost, s.url, strings.NewReader("hello")), client.WithOnce(""))
	for range 2 {
		events := 0
		for _, err := range stream {
			if err != nil {
				t.Fatal(err)
			}
			events++
		}
		if events != 2 {
			t.Errorf("got %d events, want 2", events)
		}
	}
	if got, want := s.bodies, []string{"hello", "hello"}; !slices.Equal(got, want) {
		t.Errorf("got requests with bodies %q, want %q", got, want)
	}
}

func TestOnce(t *testing.T) {
	done := "data: [DONE]\n\n"
	for _, tt := range []struct {
		name, answer, done string
		want               int   // events
		err                error // nil for the stream's own end
		text               string
	}{
		{"to the end", ok + frames(1, 2), "", 2, nil, ""},
		{"to the event that says so", ok + frames(1, 2) + done + frames(3, 3), "[DONE]", 2, nil, ""},
		{"without the event that says so", ok + frames(1, 2), "[DONE]", 2, client.ErrEnded, `"[DONE]"`},
		{"an event that says so to others", ok + frames(1, 2) + done, "", 3, nil, ""},
		{"a break", chunked + chunk(frames(1, 2)), "", 2, io.ErrUnexpectedEOF, ""},
		{"a break behind the event that says so", chunked + chunk(frames(1, 2)+done), "[DONE]", 2, nil, ""},
		{"no events", ok, "", 0, nil, ""},
		{"no answer", "", "", 0, io.EOF, ""},
		{"overload", "HTTP/1.1 529 Overloaded\r\nContent-Length: 0\r\n\r\n", "", 0, client.ErrStatus, "529"},
		{"no stream", stop, "", 0, client.ErrStopped, ""},
		{"JSON", ok + `{"error": "no such model"}`, "[DONE]", 0, client.ErrMediaType, "no such model"},
	} {
		for _, body := range []io.Reader{strings.NewReader("hello"), io.MultiReader(strings.NewReader("hello"))} { // the first can be sent again, the second cannot
			t.Run(fmt.Sprintf("%s/%T", tt.name, body), func(t *testing.T) {
				ssetest.NoLeaks(t)
				s := serve(t, tt.answer)
				var events []core.Event
				var last error
				for e, err := range client.Stream(request(t, http.MethodPost, s.url, body), soon(), client.WithOnce(tt.done),
					client.WithRetryPolicy(func(error, int) bool { return true }),
					client.WithDisconnected(func(err error, _ time.Duration) { t.Errorf("the stream wanted to reconnect after %v", err) })) {
					if last = err; err == nil {
						events = append(events, e)
					}
				}
				if !errors.Is(last, tt.err) || last != nil && !strings.Contains(last.Error(), tt.text) {
					t.Errorf("got error %v, want %v with %s", last, tt.err, tt.text)
				}
				if len(events) != tt.want {
					t.Errorf("got %+v, want %d events", events, tt.want)
				}
				if got, want := s.bodies, []string{"hello"}; !slices.Equal(got, want) {
					t.Errorf("got requests with bodies %q, want %q", got, want)
				}
			})
		}
	}
}

// A proxy may end a response properly in the middle of an event. With WithOnce nobody asks
// again, so the loop must see that something is missing.
func TestOnceCut(t *testing.T) {
	const first, last = "data: a\n\n", "id: 2\nevent: x\n: c\ndata: {\"delta\":\ndata: \"hé\"}\n\n"
	for _, lineEnd := range []string{"\n", "\r\n", "\r"} {
		event := strings.ReplaceAll(last, "\n", lineEnd)
		var answers []string
		for n := range len(event) + 1 {
			answers = append(answers, chunked+chunk(strings.ReplaceAll(first, "\n", lineEnd)+event[:n])+chunk(""))
		}
		s := serve(t, answers...)
		for n := range answers {
			got, err := collectOnce(t, s, "")
			whole := strings.HasSuffix(event[:n], lineEnd+lineEnd) || strings.HasSuffix(event[:n], "\r\n\r") // LF is not needed then
			switch {
			case whole && (err != nil || len(got) != 2), n == 0 && (err != nil || len(got) != 1):
				t.Errorf("%q: got %+v, %v, want no error", event[:n], got, err)
			case !whole && n > 0 && !cut(err) || !whole && len(got) != 1:
				t.Errorf("%q: got %+v, %v, want one event and %v", event[:n], got, err, io.ErrUnexpectedEOF)
			}
		}
	}
}

// collectOnce returns the events of one response, and the error at its end, if there is one.
func collectOnce(t *testing.T, s *server, done string) (events []core.Event, last error) {
	t.Helper()
	for e, err := range client.Stream(get(t, s.url), soon(), client.WithOnce(done)) {
		if last = err; err == nil {
			events = append(events, e)
		}
	}
	return events, last
}

func cut(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) && errors.Is(err, client.ErrEnded) && strings.Contains(err.Error(), "in the middle of an event")
}

// A response has no event in its last lines, or has one that it does not end.
func TestOnceTail(t *testing.T) {
	const done = "[DONE]"
	for _, tt := range []struct {
		name, tail, done string
		want             error
	}{
		{"a farewell", "retry: 7\n", "", nil},
		{"a farewell that is cut", "retry: 7", "", io.ErrUnexpectedEOF},
		{"a comment", ": bye\n", "", nil},
		{"a comment that is cut", ": by", "", nil},
		{"a comment and a farewell", ": bye\nretry: 7\n", "", nil},
		{"a field that is not known", "x: y\n", "", nil},
		{"an event and a farewell", "data: b\n\nretry: 7\n", "", nil},
		{"an event that is cut, and a farewell", "data: b\nretry: 7\n", "", io.ErrUnexpectedEOF},
		{"an event that is cut, and a comment", "data: b\n: bye", "", io.ErrUnexpectedEOF},
		{"empty data", "data\n", "", io.ErrUnexpectedEOF},
		{"an empty type", "event:\n", "", io.ErrUnexpectedEOF},
		{"an ID", "id: 7\n", "", io.ErrUnexpectedEOF},
		{"the end of the stream", "data: [DONE]\n\ndata: b", done, nil},
		{"half the end of the stream", "data: [DONE]\n", done, io.ErrUnexpectedEOF},
		{"no end of the stream", "", done, client.ErrEnded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, ok+"data: a\n\n"+tt.tail)
			_, err := collectOnce(t, s, tt.done)
			if !errors.Is(err, tt.want) || cut(err) != (tt.want == io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// A response that is cut is the client's to repeat without WithOnce.
func TestCutAndAgain(t *testing.T) {
	s := serve(t, ok+"id: 1\ndata: a\n\nid: 2\ndata: b", ok+"id: 2\ndata: b\n\n")
	got, err := collect(t, client.Stream(get(t, s.url), soon(), client.WithDisconnected(func(err error, _ time.Duration) {
		if err != client.ErrEnded {
			t.Errorf("got %v, want %v", err, client.ErrEnded)
		}
	})))
	wantErr(t, err, client.ErrStopped)
	ssetest.Equal(t, got, []core.Event{{ID: "1", Data: "a"}, {ID: "2", Data: "b"}})
}

func TestComments(t *testing.T) {
	s := serve(t, ok+": open\n\nretry: 1\n\nid: 1\ndata: a\n\n:\n\n")
	got, err := collect(t, client.Stream(get(t, s.url), soon(), client.WithComments()))
	wantErr(t, err, client.ErrStopped)
	ssetest.Equal(t, got, []core.Event{
		{Comment: "open"}, {Retry: time.Millisecond}, {ID: "1", Data: "a"}, {Comment: " "},
	})
}
