package hub_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// open sends a request and reads nothing.
func open(t testing.TB, url string) net.Conn {
	t.Helper()
	scheme, rest, _ := strings.Cut(url, "://")
	host, query, _ := strings.Cut(rest, "/")
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	if scheme == "https" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // on loopback, to our own
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: hub\r\n\r\n", query); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Some clients never read. Publish does not wait for them, the others get everything,
// and memory stays within the log's bound. When they do read they are told of all that
// they missed, and then get what is held. Usually that is one gap, but their kernel may
// accept a little more while they are stuck, and then it is several.
func TestClientsThatNeverRead(t *testing.T) {
	ssetest.NoLeaks(t)
	const (
		stuck, others = 5, 3
		events        = 8_000 // of 4 KiB: far more than the kernel holds
		bound         = 4 * mib
	)
	h := hub.New(hub.WithMaxBytes(bound))
	url := serve(t, h, core.WithWriteTimeout(0))
	var conns []net.Conn
	for i := range stuck {
		conns = append(conns, open(t, url+"topic=news"+strings.Repeat("&detach", i%2)))
	}
	streams := make([]*ssetest.Stream, others)
	for i := range streams {
		streams[i] = ssetest.Open(t, url+"topic=news"+strings.Repeat("&decode", i%2))
	}
	hosttest.Eventually(t, "all are subscribed", func() bool { return h.Len("news") == stuck+others })
	before := heap()

	text := strings.Repeat("x", 4<<10)
	const batch = 100 // fits into the log
	for n := 0; n < events; n += batch {
		for i := range batch {
			publish(t, h, "news", fmt.Sprint(n+i, " ", text))
		}
		var reading sync.WaitGroup
		for _, s := range streams {
			reading.Go(func() {
				for i := range batch {
					if got, want := s.Next(), fmt.Sprint(n+i, " ", text); got.Data != want {
						t.Errorf("got %.20q, want %.20q", got.Data, want)
						return
					}
				}
			})
		}
		if reading.Wait(); t.Failed() {
			return
		}
	}
	const batches = stuck / 2 * (160 << 10) // each detached one keeps a batch
	if got, most := heap()-before, bound*13/10+2*mib+batches; got > most {
		t.Errorf("%d bytes more are in use, want at most %d, because the log is bounded by %d", got, most, bound)
	}
	if got, want := h.Len("news"), stuck+others; got != want {
		t.Errorf("got Len %d, want %d", got, want)
	}
	for _, s := range streams {
		s.Close()
	}
	for _, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(patience))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		cursor, gaps := uint64(0), 0
		for e, err := range core.Read(resp.Body) {
			if err != nil {
				t.Fatal(err)
			}
			switch n := number(t, e.ID); {
			case e.Type == "gap":
				if gap := gapOf(t, e); number(t, gap.After) != cursor {
					t.Errorf("got a gap after %s, want after %d", gap.After, cursor)
				}
				gaps++
				cursor = n
			case n != cursor+1:
				t.Fatalf("got event %d after %d", n, cursor)
			default:
				cursor = n
			}
			if cursor == events {
				break
			}
		}
		if gaps == 0 {
			t.Error("got no gap, but the log does not hold what the client missed")
		}
	}
}
