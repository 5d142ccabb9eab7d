package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

var discard = log.New(io.Discard, "", 0)

// The notices about a server of a few lines, and about this project's own.
const (
	connected    = "* connected: 200 OK, HTTP/1.1, text/event-stream\n"
	connectedOwn = "* connected: 200 OK, HTTP/1.1, text/event-stream; charset=utf-8\n"
)

// raw answers every request with these bytes.
func raw(t *testing.T, body string) string {
	t.Helper()
	return ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, body)
	}))
}

func TestTailOutput(t *testing.T) {
	const stream = ": hello\n\n" +
		"retry: 1500\n\n" +
		"id: 7\nevent: add\ndata: {\"b\": 1, \"a\": [true, \"x\"]}\n\n" +
		"data: two\ndata: lines\n\n" +
		"event: remove\nid\nretry: 20\n: why\ndata\n\n" +
		"data: cut off"

	for _, c := range []struct {
		name, args, want string
	}{
		{"plain", "", `
+1.000s  add  id 7
  {"b": 1, "a": [true, "x"]}
+1.000s  message  id 7
  two
  lines
+1.000s  remove  retry 20ms
`},
		{"verbose", "-v", `
+1.000s  : hello
+1.000s  retry 1.5s
+1.000s  add  id 7
  {"b": 1, "a": [true, "x"]}
+1.000s  message  id 7
  two
  lines
+1.000s  : why
+1.000s  remove  retry 20ms
`},
		{"types", "-types message,remove", `
+1.000s  message  id 7
  two
  lines
+1.000s  remove  retry 20ms
`},
		{"count", "-n 1", `
+1.000s  add  id 7
  {"b": 1, "a": [true, "x"]}
`},
		{"count of types", "-n 1 -types remove", `
+1.000s  remove  retry 20ms
`},
		{"count while verbose", "-n 1 -v", `
+1.000s  : hello
+1.000s  retry 1.5s
+1.000s  add  id 7
  {"b": 1, "a": [true, "x"]}
`},
		{"coloured", "-color always -n 1", "\n" +
			"\x1b[2m+1.000s\x1b[22m  \x1b[36;1madd\x1b[0;22m  \x1b[33mid 7\x1b[0m\n" +
			"  {\n" +
			"    \x1b[34m\"b\"\x1b[0m: 1,\n" +
			"    \x1b[34m\"a\"\x1b[0m: [\n" +
			"      true,\n" +
			"      \"x\"\n" +
			"    ]\n" +
			"  }\n"},
		{"JSON", "-json", `
{"time":"2030-01-02T03:04:08Z","sinceMs":1000,"id":"7","type":"add","data":"{\"b\": 1, \"a\": [true, \"x\"]}","json":{"b":1,"a":[true,"x"]}}
{"time":"2030-01-02T03:04:09Z","sinceMs":1000,"id":"7","type":"message","data":"two\nlines"}
{"time":"2030-01-02T03:04:10Z","sinceMs":1000,"type":"remove","data":"","retryMs":20}
`},
		{"verbose JSON", "-json -v -n 1", `
{"time":"2030-01-02T03:04:08Z","sinceMs":1000,"comment":"hello"}
{"time":"2030-01-02T03:04:09Z","sinceMs":1000,"retryMs":1500}
{"time":"2030-01-02T03:04:10Z","sinceMs":1000,"id":"7","type":"add","data":"{\"b\": 1, \"a\": [true, \"x\"]}","json":{"b":1,"a":[true,"x"]}}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"tail", "-no-reconnect", raw(t, stream)}, strings.Fields(c.args)...)
			stdout, _, status := try(t, args...)
			equal(t, "stdout", "\n"+stdout, c.want)
			want := statusFailure // because the last event is cut off
			if strings.Contains(c.args, "-n ") {
				want = statusOK
			}
			equal(t, "status", status, want)
		})
	}
}

// An ID without an event is shown, but is not counted as an event.
func TestTailPositions(t *testing.T) {
	url := raw(t, "id: 7\n\n: c\ndata: a\n\nid\n\ndata: b\n\n")
	for _, c := range []struct{ args, want string }{
		{"", `
+1.000s  message  id 7
  a
+1.000s  message
  b
`},
		{"-v", `
+1.000s  id 7
+1.000s  : c
+1.000s  message  id 7
  a
+1.000s  no id
+1.000s  message
  b
`},
		{"-v -json", `
{"time":"2030-01-02T03:04:08Z","sinceMs":1000,"id":"7"}
{"time":"2030-01-02T03:04:09Z","sinceMs":1000,"comment":"c"}
{"time":"2030-01-02T03:04:10Z","sinceMs":1000,"id":"7","type":"message","data":"a"}
{"time":"2030-01-02T03:04:11Z","sinceMs":1000,"id":""}
{"time":"2030-01-02T03:04:12Z","sinceMs":1000,"type":"message","data":"b"}
`},
		{"-v -n 1", `
+1.000s  id 7
+1.000s  : c
+1.000s  message  id 7
  a
`},
	} {
		stdout, _, status := try(t, append([]string{"tail", "-no-reconnect", url}, strings.Fields(c.args)...)...)
		equal(t, c.args+": stdout", "\n"+stdout, c.want)
		equal(t, "status", status, statusOK)
	}
}

// A server must not be able to command the terminal.
func TestTailControlCharacters(t *testing.T) {
	const evil = "\x1b]0;title\x07 \u009b31m \u202e \x7f\b\ttab"
	url := raw(t, "id: "+evil+"\nevent: "+evil+"\n: "+evil+"\ndata: "+evil+"\ndata: \"\"\n\n"+
		": \x1bc\n\n"+
		"data: {\"\u009bk\": \"\u202e\x7f\"}\n\n")
	const shown = `\x1b]0;title\x07 \u009b31m \u202e \x7f\x08`
	for _, c := range []struct{ name, args, want string }{
		{"text", "-v", `
+1.000s  : ` + shown + `\ttab
+1.000s  ` + shown + `\ttab  id ` + shown + `\ttab
  ` + shown + "\ttab" + `
  ""
+1.000s  : \x1bc
+1.000s  message  id ` + shown + `\ttab
  {"\u009bk": "\u202e\x7f"}
`},
		{"JSON", "-json -n 1", `
{"time":"2030-01-02T03:04:08Z","sinceMs":1000,"id":"` + jsonShown + `","type":"` + jsonShown + `","data":"` + jsonShown + `\n\"\""}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, _, _ := try(t, append([]string{"tail", "-no-reconnect", url}, strings.Fields(c.args)...)...)
			equal(t, "stdout", "\n"+stdout, c.want)
		})
	}
	t.Run("indented JSON", func(t *testing.T) {
		p := printer{palette: newPalette(false), indent: true}
		got := p.data("{\"\u009bk\": [\"\u202e\", \"\x7f\"]}")
		equal(t, "data", got, "{\n  \"\\u009bk\": [\n    \"\\u202e\",\n    \"\\x7f\"\n  ]\n}")
	})
	t.Run("an answer that is not a stream", func(t *testing.T) {
		url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/\u009bhtml")
			fmt.Fprint(w, "\x1b[2J")
		}))
		_, stderr, status := try(t, "tail", url)
		equal(t, "stderr", stderr, "yieldsse: the response is not an event stream: GET "+url+": "+
			`Content-Type is "text/\u009bhtml": "\x1b[2J"`+"\n")
		equal(t, "status", status, statusFailure)
	})
}

const jsonShown = `\u001b]0;title\u0007 \u009b31m \u202e \u007f\b\ttab`

// Deep or large JSON is not indented, because it would grow without bound.
func TestTailDeepJSON(t *testing.T) {
	p := printer{palette: newPalette(false), indent: true}
	for _, c := range []struct {
		name, data string
		lines      int
	}{
		{"an object", `{"a":{"b":[1,2]}}`, 8},
		{"a number", `12`, 1},
		{"no JSON", `{"a":`, 1},
		{"deep", strings.Repeat("[", 1000) + strings.Repeat("]", 1000), 1},
		{"large", "[" + strings.Repeat("1,", indentSize) + "1]", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Count(p.data(c.data), "\n") + 1
			equal(t, "lines", got, c.lines)
		})
	}
}

var waits = regexp.MustCompile(`again in [0-9.]+[^0-9 ]*s`)

// counting sends the three events after the last one that the client has. It breaks off
// after the first three, and ends after the next.
func counting(r *http.Request) core.Stream {
	return func(yield func(core.Event, error) bool) {
		last, _ := strconv.Atoi(core.LastEventID(r.Context()))
		for i := last + 1; i <= last+3; i++ {
			if !yield(core.Event{ID: strconv.Itoa(i), Data: "x"}, nil) {
				return
			}
		}
		if last == 0 {
			panic(http.ErrAbortHandler)
		}
	}
}

func TestTailReconnects(t *testing.T) {
	stdout, stderr, status := try(t, "tail", "-n", "8", serve(t, counting, core.WithRetry(time.Millisecond)))
	want := ""
	for i := range 8 {
		retry := ""
		if i%3 == 0 { // the first event of a connection
			retry = "  retry 1ms"
		}
		want += fmt.Sprintf("+1.000s  message  id %d%s\n  x\n", i+1, retry)
	}
	equal(t, "stdout", stdout, want)
	equal(t, "stderr", waits.ReplaceAllString(stderr, "again in a while"), connectedOwn+
		"* the connection broke in the middle of the response; connecting again in a while\n"+
		"* connected again after the ID 3: 200 OK, HTTP/1.1, text/event-stream; charset=utf-8\n"+
		"* the response has ended; connecting again in a while\n"+
		"* connected again after the ID 6: 200 OK, HTTP/1.1, text/event-stream; charset=utf-8\n")
	equal(t, "status", status, statusOK)
}

func TestTailLastEventID(t *testing.T) {
	stdout, stderr, _ := try(t, "tail", "-n", "1", "-last-event-id", "41", serve(t, counting))
	equal(t, "stdout", stdout, "+1.000s  message  id 42\n  x\n")
	equal(t, "stderr", stderr, "* connected after the ID 41: 200 OK, HTTP/1.1, text/event-stream; charset=utf-8\n")
}

func TestTailEnds(t *testing.T) {
	var requests atomic.Int64
	jsonError := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `{"error": "no such model"}`)
	}
	for _, c := range []struct {
		name    string
		args    string
		handler http.HandlerFunc
		stderr  string
		status  int
	}{
		{"with the response", "-no-reconnect", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
		}, connected + "* the response has ended\n", statusOK},
		{"within an event", "-no-reconnect", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: a\n\ndata: half")
		}, connected + "yieldsse: the response has ended in the middle of an event, which is lost\n", statusFailure},
		{"with a response that breaks off", "-no-reconnect", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, connected + "yieldsse: the connection broke in the middle of the response\n", statusFailure},
		{"when the server stops it", "-reconnection-time 1ms", func(w http.ResponseWriter, _ *http.Request) {
			if requests.Add(1) > 1 {
				w.WriteHeader(204)
			}
			w.Header().Set("Content-Type", "text/event-stream")
		}, connected + "* the response has ended; connecting again in a while\n" +
			"* the server has stopped the stream (204 No Content)\n", statusOK},
		{"with a page", "", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<!DOCTYPE html>\n<title>Hello</title>")
		}, "yieldsse: the response is not an event stream: GET URL: Content-Type is \"text/html; charset=utf-8\": " +
			"\"<!DOCTYPE html>\\n<title>Hello</title>\"\n", statusFailure},
		{"with JSON that says it is a stream", "-no-reconnect", jsonError,
			connected + "yieldsse: the response is not an event stream: GET URL: " +
				"Content-Type is \"text/event-stream\", but the body is not an event stream: \"{\\\"error\\\": \\\"no such model\\\"}\"\n", statusFailure},
		{"with JSON that says it is a stream, with reconnections", "", jsonError,
			connected + "yieldsse: the response is not an event stream: GET URL: " +
				"Content-Type is \"text/event-stream\", but the body is not an event stream: \"{\\\"error\\\": \\\"no such model\\\"}\"\n", statusFailure},
		{"with a compressed body", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, "data: a\n\n")
			_ = z.Close()
		}, "yieldsse: the response is not an event stream: GET URL: Content-Encoding is \"gzip\", which was not asked for\n", statusFailure},
		{"with an endless line", "-max-event-size 1000", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				fmt.Fprint(w, "data, and more of it, and more of it, and more of it")
			}
		}, connected + "yieldsse: event too large: it has more than 1000 bytes: raise --max-event-size\n", statusFailure},
		{"at a missing page", "-retry", http.NotFound,
			"yieldsse: the response has a status other than 200: GET URL: 404 Not Found: \"404 page not found\\n\"\n", statusFailure},
		{"at an overload", "", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
			"yieldsse: the response has a status other than 200: GET URL: 503 Service Unavailable (--retry would try again)\n", statusFailure},
		{"in silence", "-no-reconnect -idle-timeout 10ms", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, connected + "yieldsse: the server has sent nothing for 10ms\n", statusFailure},
		{"without an answer", "-no-reconnect", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"yieldsse: the server closed the connection without an answer\n", statusFailure},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := ssetest.Serve(t, c.handler)
			_, stderr, status := try(t, append([]string{"tail", url}, strings.Fields(c.args)...)...)
			stderr = waits.ReplaceAllString(strings.ReplaceAll(stderr, url, "URL"), "again in a while")
			equal(t, "stderr", stderr, c.stderr)
			equal(t, "status", status, c.status)
		})
	}
}

// nobody returns a URL at which no server runs.
func nobody(t *testing.T) (url, addr string) {
	t.Helper()
	addr = testenv.Addr(t)
	return "http://" + addr + "/", addr
}

func TestTailFirstConnection(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		url, addr := nobody(t)
		_, stderr, status := try(t, "tail", url)
		equal(t, "stderr", stderr, "yieldsse: cannot connect to "+addr+": connection refused (--retry would try again)\n")
		equal(t, "status", status, statusFailure)
	})
	t.Run("TLS with a server that has none", func(t *testing.T) {
		url := strings.Replace(raw(t, ""), "http:", "https:", 1)
		_, stderr, status := try(t, "tail", url)
		equal(t, "stderr", stderr, "yieldsse: the server does not speak TLS: try http:// instead of https://\n")
		equal(t, "status", status, statusFailure)
	})
	t.Run("with --retry", func(t *testing.T) {
		var requests atomic.Int64
		url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if requests.Add(1) == 1 {
				w.WriteHeader(503)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: a\n\n")
		}))
		stdout, stderr, status := try(t, "tail", "-retry", "-reconnection-time", "1ms", "-n", "1", url)
		equal(t, "stdout", stdout, "+1.000s  message\n  a\n")
		equal(t, "stderr", waits.ReplaceAllString(stderr, "again in a while"),
			"* the response has a status other than 200: GET "+url+": 503 Service Unavailable; connecting again in a while\n"+connected)
		equal(t, "status", status, statusOK)
	})
}

// noticed is a stderr that reports a write.
type noticed struct {
	bytes.Buffer

	once sync.Once
	done chan struct{}
}

func (s *noticed) Write(p []byte) (int, error) {
	defer s.once.Do(func() { close(s.done) })
	return s.Buffer.Write(p)
}

// If a server does not answer, there is a notice and not an empty screen.
func TestTailSlowServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stderr := noticed{done: make(chan struct{})}
	url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-stderr.done: // the server waits for it
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: a\n\n")
	}))
	var stdout bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr, now: clock(), patience: time.Millisecond}
	status := a.run(ctx, []string{"tail", "-n", "1", strings.Replace(url, "http://", "http://user:password@", 1)})
	equal(t, "stdout", stdout.String(), "+1.000s  message\n  a\n")
	equal(t, "stderr", stderr.String(), "* connecting to "+strings.Replace(url, "http://", "http://user:xxxxx@", 1)+"\n"+connected)
	equal(t, "status", status, statusOK)
}

// An invalid answer is reported in this program's words, not in Go's.
func TestTailNoAnswer(t *testing.T) {
	const noHTTP = "the server's answer is not an HTTP response: "
	for _, c := range []struct{ name, answer, want string }{
		{"another protocol", "SSH-2.0-OpenSSH\r\n", noHTTP + `it begins with "SSH-2.0-OpenSSH"`},
		{"a status", "HTTP/1.1 abc OK\r\n\r\n", noHTTP + `malformed status code "abc"`},
		{"a version", "HTTP/9 200 OK\r\n\r\n", noHTTP + `malformed version "HTTP/9"`},
		{"a header", "HTTP/1.1 200 OK\r\nfoo\r\n\r\n", noHTTP + `malformed header: missing colon: "foo"`},
		{"a header's name", "HTTP/1.1 200 OK\r\n: a\r\n\r\n", noHTTP + `malformed header line: ": a"`},
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", noHTTP + `bad Content-Length "x"`},
		{"endless headers", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 11<<20), noHTTP + "its headers exceeded 10485760 bytes; aborted"},
		{"a long line", strings.Repeat("a", 1000) + "\r\n", noHTTP + `it begins with "` + strings.Repeat("a", 239) + "..."},
		{"half of the headers", "HTTP/1.1 200 OK\r\nA: b", "the connection broke in the middle of the response"},
		{"a redirect to FTP", "HTTP/1.1 302 Found\r\nLocation: ftp://a/\r\n\r\n",
			`only http and https are supported: the server redirects to a URL with the scheme "ftp"`},
		{"a redirect to an invalid URL", "HTTP/1.1 302 Found\r\nLocation: http://a b/\r\n\r\n",
			`the server redirects to an invalid URL: "http://a b/": parse "http://a b/": invalid character " " in host name`},
		{"a circle", "HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\n\r\n",
			"the server redirects without end: stopped after 10 redirects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, status := try(t, "tail", "-no-reconnect", answering(t, c.answer, false))
			equal(t, "stderr", stderr, "yieldsse: "+c.want+"\n")
			equal(t, "status", status, statusFailure)
		})
	}
}

func TestTailRedirect(t *testing.T) {
	to := raw(t, "data: a\n\n")
	url := ssetest.Serve(t, http.RedirectHandler(to+"/there", http.StatusFound))
	_, stderr, _ := try(t, "tail", "-n", "1", url)
	equal(t, "stderr", stderr, "* connected at "+to+"/there: 200 OK, HTTP/1.1, text/event-stream\n")
}

// cancelling cancels a context at the first write.
type cancelling struct {
	bytes.Buffer

	cancel context.CancelFunc
}

func (c *cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return c.Buffer.Write(p)
}

func TestTailInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr := cancelling{cancel: cancel}, bytes.Buffer{}
	status := run(ctx, []string{"tail", serve(t, endless(core.Event{Data: "a"}))}, nil, &stdout, &stderr)
	equal(t, "stderr", stderr.String(), connectedOwn)
	equal(t, "status", status, statusInterrupted)
}

func TestColor(t *testing.T) {
	tty := terminal(t, 80)
	for _, c := range []struct {
		name, when, noColor, term string
		w                         any
		want                      bool
	}{
		{"a terminal", "auto", "", "xterm", tty, true},
		{"NO_COLOR", "auto", "1", "xterm", tty, false},
		{"a dumb terminal", "auto", "", "dumb", tty, false},
		{"never", "never", "", "xterm", tty, false},
		{"always", "always", "1", "dumb", io.Discard, true},
		{"no terminal", "auto", "", "xterm", io.Discard, false},
		{"a file", "auto", "", "xterm", file(t), false},
		{"a device that is not a terminal", "auto", "", "xterm", null(t), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColor)
			t.Setenv("TERM", c.term)
			got, err := useColor(c.when, c.w)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "colours", got, c.want)
		})
	}
}
