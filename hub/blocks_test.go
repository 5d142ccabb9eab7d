package hub_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// openAs opens a stream, compressed or not.
func openAs(t *testing.T, url, encoding string) *ssetest.Stream {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)
	s := ssetest.Request{URL: url, Header: http.Header{"Accept-Encoding": {encoding}}, Client: client}.Open(t)
	if got := s.Header.Get("Content-Encoding"); got != strings.TrimPrefix(encoding, "identity") {
		t.Fatalf("got Content-Encoding %q, want %q", got, encoding)
	}
	return s
}

// A client whose response is compressed gets what others get: from the memory, a lot at once,
// from a log, with a gap.
func TestCompressedClientsGetTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte('!' + r.IntN(90)) //nolint:gosec // it is printable
	}
	for _, name := range []string{"without a log", "with a log"} {
		t.Run(name, func(t *testing.T) {
			opts := []hub.Option{hub.WithMaxEvents(0)}
			if name == "with a log" {
				opts = []hub.Option{hub.WithLog(new(hubtest.MemoryLog)), hub.WithMaxEvents(100)}
			}
			h := hub.New(opts...)
			t.Cleanup(func() { _ = h.Shutdown(context.Background()) })
			url := serve(t, h, core.WithHeartbeat(0), core.WithCompression())
			last := ""
			for n := range 500 { // so that a worker does not compress them
				last = publish(t, h, "a", fmt.Sprint("early ", n, strings.Repeat(" x", n%100)))
			}
			hosttest.Eventually(t, "all have come from the log", func() bool { return h.LastID() == last })
			var plain, zipped []*ssetest.Stream
			for _, query := range []string{"", "&from=oldest", "&from=rubbish", "&topic=*"} {
				for _, way := range []string{"", "&decode", "&detach"} {
					plain = append(plain, openAs(t, url+"topic=a"+query+way, "identity"))
					zipped = append(zipped, openAs(t, url+"topic=a"+query+way, "gzip"))
				}
			}
			hosttest.Eventually(t, "all are subscribed", func() bool { return h.Len("a") == 24 })
			for _, e := range allSorts {
				if _, err := h.Publish(t.Context(), "a", e); err != nil {
					t.Fatal(err)
				}
			}
			publish(t, h, "a", string(noise))
			publish(t, h, "a", "the end")
			h.Kick("a")
			for i := range plain {
				want := plain[i].Body()
				decoder, err := gzip.NewReader(strings.NewReader(zipped[i].Body()))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(decoder)
				if string(got) != want || err != nil || !strings.Contains(want, "the end") {
					t.Errorf("stream %d: got %d bytes and %v, want %d", i, len(got), err, len(want))
				}
			}
		})
	}
}

// A zipConn keeps what it is sent.
type zipConn struct {
	mu  sync.Mutex
	all []byte
}

func (c *zipConn) Send(f host.Frames) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, f.Bytes()...)
	return nil
}
func (*zipConn) End() error { return nil }
func (*zipConn) Abort()     {}

// All clients of an event are sent the same bytes, whatever came before.
func TestCompressedFramesAreShared(t *testing.T) {
	h := hub.New()
	var running sync.WaitGroup
	var conns [2]zipConn
	begin := func(i int) {
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithCompression(), core.WithHeartbeat(0))
		if err != nil {
			t.Fatal(err)
		}
		s.SetHeaders(http.Header{}, "gzip")
		running.Go(func() { _ = s.Serve(&conns[i], h.Subscribe(s.Context(), "a")) })
		hosttest.Eventually(t, "it is subscribed", func() bool { return h.Len("a") == i+1 })
	}
	begin(0)
	publish(t, h, "a", "only for the first client")
	begin(1)
	publish(t, h, "a", "for both, for both, for both")
	h.Kick("a")
	running.Wait()
	const header, trailer = 10, 10
	first, second := conns[0].all, conns[1].all
	shared := second[:len(second)-trailer]
	for i := len(": open") + 2*header; ; i++ { // after the opening
		if i >= len(shared) {
			t.Fatalf("got %x and %x, want the same block in both", first, second)
		}
		if len(shared[i:]) > 30 && bytes.HasSuffix(first[:len(first)-trailer], shared[i:]) {
			break
		}
	}
}
