package client_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// Every rule of the wire format, over a connection, with every line end, in chunks
// of one and of two bytes. The last event ID is in the next request.
func TestWire(t *testing.T) {
	tests := []struct {
		name, wire string
		want       []core.Event
		id         string        // of the next request; "-" is none
		reconnect  time.Duration // 0 is the default
	}{
		{"a byte order mark", "\uFEFFdata: a\n\n", []core.Event{{Data: "a"}}, "-", 0},
		{"two byte order marks", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", []core.Event{{Data: "b"}}, "-", 0},
		{"comments and no colon", ": c\ndata\n:\n\n", []core.Event{{}}, "-", 0},
		{"one space", "data:  a\n\ndata:\tb\n\ndata:c\n\n", []core.Event{{Data: " a"}, {Data: "\tb"}, {Data: "c"}}, "-", 0},
		{"names", "Data: a\nfoo: b\ndata: c\n\n", []core.Event{{Data: "c"}}, "-", 0},
		{"lines of data", "data: a\ndata\ndata: b\ndata:\n\n", []core.Event{{Data: "a\n\nb\n"}}, "-", 0},
		{"an ID without data", "event: t\nid: 1\n\ndata: a\n\n", []core.Event{{ID: "1", Data: "a"}}, "1", 0},
		{"types", "event: t\nevent: u\ndata: a\n\nevent: t\nevent:\ndata: b\n\ndata: c\n\n", []core.Event{{Type: "u", Data: "a"}, {Data: "b"}, {Data: "c"}}, "-", 0},
		{"an ID persists", "id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", []core.Event{{ID: "1", Data: "a"}, {ID: "1", Data: "b"}}, "1", 0},
		{"an empty ID resets", "id: 1\ndata: a\n\nid\ndata: b\n\n", []core.Event{{ID: "1", Data: "a"}, {Data: "b"}}, "-", 0},
		{"an ID that nothing committed", "id: 1\ndata: a\n\nid: 2\ndata: b\n", []core.Event{{ID: "1", Data: "a"}}, "1", 0},
		{"an ID of another alphabet", "id: 時間\ndata: a\n\n", []core.Event{{ID: "時間", Data: "a"}}, "時間", 0},
		{"an ID that no header can carry", "id: 1\x012\ndata: a\n\n", []core.Event{{ID: "1\x012", Data: "a"}}, "-", 0},
		{
			"invalid UTF-8", "data: a\xFFb\xE6\x99\ndata: \u00E9\xF0\x80\nevent: t\xC3\nid: 1\xFF\n\ndata: \u6642\n\n",
			[]core.Event{{ID: "1\uFFFD", Type: "t\uFFFD", Data: "a\uFFFDb\uFFFD\n\u00E9\uFFFD\uFFFD"}, {ID: "1\uFFFD", Data: "\u6642"}}, "1\uFFFD", 0,
		},
		{"retry", "retry: 007\n", nil, "-", 7 * time.Millisecond},
		{"retry that is not a number", "retry: 7\nretry: 8s\nretry: -1\n", nil, "-", 7 * time.Millisecond},
		{"an event that nothing ended", "data: a\n\ndata: b\n", []core.Event{{Data: "a"}}, "-", 0},
		{"a line that nothing ended", "data: a\n\ndata: b", []core.Event{{Data: "a"}}, "-", 0},
	}
	for _, tt := range tests {
		for _, lineEnd := range []string{"\n", "\r", "\r\n"} {
			for _, size := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s/%q/%d", tt.name, lineEnd, size), func(t *testing.T) {
					wire := strings.ReplaceAll(tt.wire, "\n", lineEnd)
					var ids []string
					var reconnect time.Duration
					url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						ids = append(ids, strings.Join(r.Header["Last-Event-Id"], ","))
						if _, ok := r.Header["Last-Event-Id"]; !ok {
							ids[len(ids)-1] = "-"
						}
						if len(ids) > 1 {
							w.WriteHeader(http.StatusNoContent)
							return
						}
						w.Header().Set("Content-Type", "text/event-stream")
						for part := range slices.Chunk([]byte(wire), size) {
							_, _ = w.Write(part)
							_ = http.NewResponseController(w).Flush()
						}
					}))

					got, err := collect(t, client.Stream(get(t, url), soon(),
						client.WithDisconnected(func(_ error, wait time.Duration) { reconnect = wait })))
					wantErr(t, err, client.ErrStopped)
					ssetest.Equal(t, got, tt.want)
					if want := []string{"-", tt.id}; !slices.Equal(ids, want) {
						t.Errorf("got Last-Event-IDs %q, want %q", ids, want)
					}
					if least, most := tt.reconnect, tt.reconnect+time.Millisecond; reconnect < least || reconnect > most {
						t.Errorf("got a wait of %v, want %v to %v", reconnect, least, most)
					}
				})
			}
		}
	}
}

func TestLargeEvents(t *testing.T) {
	const size = 10 << 20
	large := strings.Repeat("0123456789abcdef", size/16)
	line := "data: " + large + "\n"
	many := strings.Repeat("data: 0123456789\n", size/17)
	tests := []struct {
		name, wire string
		opts       []client.Option
		want       []int // lengths of data
		err        error
	}{
		{"one line of 10 MiB", line + "\n", nil, []int{size}, client.ErrStopped},
		{"10 MiB of lines", many + "\n", nil, []int{size/17*11 - 1}, client.ErrStopped},
		{"several", line + "\n" + line + "\n", nil, []int{size, size}, client.ErrStopped},
		{"one that is too large", "data: a\n\n" + line + "\n", []client.Option{client.WithMaxEventSize(size)}, []int{1}, core.ErrEventTooLarge},
		{"lines that are too many", many + "\n", []client.Option{client.WithMaxEventSize(1 << 20)}, nil, core.ErrEventTooLarge},
		{"one that is as large as it may be", line + "\n", []client.Option{client.WithMaxEventSize(len(line))}, []int{size}, client.ErrStopped},
		{"beyond the default", "data: " + large + large + "\n\n", nil, nil, core.ErrEventTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, ok+tt.wire)
			events, err := collect(t, client.Stream(get(t, s.url), append(tt.opts, soon())...))
			wantErr(t, err, tt.err)
			var got []int
			for _, e := range events {
				got = append(got, len(e.Data))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got data of %d bytes, want %d", got, tt.want)
			}
			want := 2
			if tt.err == core.ErrEventTooLarge {
				want = 1 // the same event would come again
			}
			if got := len(s.seen()); got != want {
				t.Errorf("got %d requests, want %d", got, want)
			}
		})
	}
}

// Reading stops at the limit in a line without an end.
func TestEndlessLine(t *testing.T) {
	s := serveRaw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, ok+"data: ")
		for range 1 << 20 {
			if _, err := io.WriteString(c, strings.Repeat("x", 1<<10)); err != nil {
				return
			}
		}
	})
	events, err := collect(t, client.Stream(get(t, s.url), client.WithMaxEventSize(1<<20)))
	wantErr(t, err, core.ErrEventTooLarge)
	ssetest.Equal(t, events, nil)
}

// A server may die at any byte, and no event is lost or repeated. An event is complete
// when the first byte of its blank line has come, and not before.
func TestDeath(t *testing.T) {
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	first := frames(1, 2)
	whole := chunk(first)
	tests := []struct {
		name   string
		answer string
		reset  bool
		ids    []string
	}{
		{"before the headers", "", false, []string{"-", "-", "2", "4"}},
		{"in the status line", "HTTP/1.1 2", false, []string{"-", "-", "2", "4"}},
		{"in the headers", "HTTP/1.1 200 OK\r\nContent-Ty", false, []string{"-", "-", "2", "4"}},
		{"behind the headers", ok, false, []string{"-", "-", "2", "4"}},
		{"in an event", ok + first + "id: 3\n", false, []string{"-", "2", "4"}},
		{"in a line", ok + first + "id: 3\ndata: eve", false, []string{"-", "2", "4"}},
		{"before the blank line, of LF", ok + first + "id: 3\ndata: event 3\n", false, []string{"-", "2", "4"}},
		{"before the blank line, of CR", ok + first + "id: 3\rdata: event 3\r", false, []string{"-", "2", "4"}},
		{"before the blank line, of CRLF", ok + first + "id: 3\r\ndata: event 3\r\n", false, []string{"-", "2", "4"}},
		{"behind the blank line, of LF", ok + first + "id: 3\ndata: event 3\n\n", false, []string{"-", "3", "4"}},
		{"behind the blank line, of CR", ok + first + "id: 3\rdata: event 3\r\r", false, []string{"-", "3", "4"}},
		{"between the CR and the LF of the blank line", ok + first + "id: 3\r\ndata: event 3\r\n\r", false, []string{"-", "3", "4"}},
		{"behind an event", ok + first, false, []string{"-", "2", "4"}},
		{"without the last chunk", chunked + whole, false, []string{"-", "2", "4"}},
		{"in a chunk", chunked + whole + "ff\r\nid: 3\ndata: event 3\n", false, []string{"-", "2", "4"}},
		{"in a chunk's size", chunked + whole + "f", false, []string{"-", "2", "4"}},
		{"with a chunk that is none", chunked + whole + "no chunk\r\n", false, []string{"-", "2", "4"}},
		{"with a body that is short", strings.Replace(ok, "\r\n\r\n", "\r\nContent-Length: 1000\r\n\r\n", 1) + first, false, []string{"-", "2", "4"}},
		{"with a proper end", chunked + whole + "0\r\n\r\n", false, []string{"-", "2", "4"}},
		{"with a reset", ok, true, []string{"-", "-", "2", "4"}},
		{"with something else", "220 mail.example.com ESMTP\r\n", false, []string{"-", "-", "2", "4"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			from := func(c net.Conn, id string) {
				switch id {
				case "2":
					_, _ = io.WriteString(c, ok+frames(3, 4))
				case "3":
					_, _ = io.WriteString(c, ok+frames(4, 4))
				case "4":
					_, _ = io.WriteString(c, stop)
				default:
					_, _ = io.WriteString(c, ok+frames(1, 2))
				}
			}
			var s *server
			resume := func(c net.Conn) {
				ids := s.lastEventIDs()
				from(c, ids[len(ids)-1])
			}
			s = serveRaw(t, func(c net.Conn) {
				_, _ = io.WriteString(c, tt.answer)
				if tt.reset {
					reset(c)
				}
			}, resume, resume, resume, resume)

			got, err := collect(t, client.Stream(get(t, s.url), soon()))
			wantErr(t, err, client.ErrStopped)
			ssetest.Equal(t, got, numbered(1, 4))
			if got := s.lastEventIDs(); !slices.Equal(got, tt.ids) {
				t.Errorf("got Last-Event-IDs %q, want %q", got, tt.ids)
			}
		})
	}
}

// The client can tell a response that was cut or stopped from one that has ended.
func TestEndsApart(t *testing.T) {
	t.Run("ended", func(t *testing.T) {
		s := serve(t, ok+frames(1, 1))
		_, err := collect(t, client.Stream(get(t, s.url), once()))
		wantErr(t, err, client.ErrEnded)
	})
	t.Run("cut", func(t *testing.T) {
		s := serve(t, chunked+"5\r\ndata:")
		_, err := collect(t, client.Stream(get(t, s.url), once()))
		wantErr(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("refused", func(t *testing.T) {
		_, err := collect(t, client.Stream(get(t, "http://"+testenv.Addr(t)), once()))
		var op *net.OpError
		if !strings.HasPrefix(err.Error(), "client: ") || !asError(err, &op) || op.Op != "dial" {
			t.Errorf("got error %v, want one of dialling", err)
		}
	})
}

// HTTP/2 resets a stream and keeps its connection.
func TestHTTP2(t *testing.T) {
	ssetest.NoLeaks(t)
	n := 0
	srv := newHTTP2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("got %s, want HTTP/2", r.Proto)
		}
		n++
		w.Header().Set("Content-Type", "text/event-stream")
		switch n {
		case 1:
			_, _ = io.WriteString(w, frames(1, 2)+"id: 3\ndata: ev")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case 2:
			if got := r.Header.Get("Last-Event-ID"); got != "2" {
				t.Errorf("got Last-Event-ID %q, want 2", got)
			}
			_, _ = io.WriteString(w, frames(3, 4))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	got, err := collect(t, client.Stream(get(t, srv.URL), soon(), client.WithHTTPClient(srv.Client())))
	wantErr(t, err, client.ErrStopped)
	ssetest.Equal(t, got, numbered(1, 4))
}
