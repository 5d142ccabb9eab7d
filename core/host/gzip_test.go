package host_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/deflate"
	"github.com/yieldsse/yieldsse/internal/feed"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// compressed has the tests, by name, whose detached sessions compress.
var compressed sync.Map

func compress(t *testing.T) {
	t.Helper()
	compressed.Store(t.Name(), true)
	t.Cleanup(func() { compressed.Delete(t.Name()) })
}

func isCompressed(t *testing.T) bool {
	t.Helper()
	return settingOf(t, &compressed) != nil
}

// A zip is a pump that gives blocks.
type zip struct{ feed.Pump }

func (z zip) Next(frames *[][]byte) (more bool, err error) {
	n := len(*frames)
	more, err = z.Pump.Next(frames)
	blocks((*frames)[n:])
	return more, err
}

func blocks(frames [][]byte) [][]byte {
	for i, frame := range frames {
		frames[i] = deflate.NewBlock(frame)
	}
	return frames
}

// A gunzip decodes what it reads. It begins with the first Read.
type gunzip struct {
	from    io.Reader
	decoder *stdgzip.Reader
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.decoder == nil {
		if g.decoder, err = stdgzip.NewReader(g.from); err != nil {
			return 0, err
		}
	}
	return g.decoder.Read(p)
}

// A zipHost is a host whose client decodes each Send before the next.
type zipHost struct {
	t    *testing.T
	log  []string // what each Send has decoded to
	all  []byte
	text string // what all decodes to
	most int    // the size of the largest Send
}

func (h *zipHost) Send(f host.Frames) error {
	h.most = max(h.most, len(f.Bytes()))
	h.all = append(h.all, f.Bytes()...)
	before := h.text
	if h.text, _ = h.decode(); strings.HasPrefix(h.text, before) {
		h.log = append(h.log, h.text[len(before):])
	} else {
		h.t.Errorf("after %q it decodes to %q", before, h.text)
	}
	return nil
}
func (*zipHost) End() error { return nil }
func (*zipHost) Abort()     {}

func (h *zipHost) decode() (string, error) {
	text, err := io.ReadAll(&gunzip{from: bytes.NewReader(h.all)})
	return string(text), err
}

func serveZipped(ctx context.Context, t *testing.T, stream core.Stream, opts ...core.Option) (*zipHost, core.Summary) {
	t.Helper()
	var sum core.Summary
	opts = append(opts, core.WithCompression(), core.WithObserver(core.Observer{
		Closed: func(_ context.Context, end core.Summary) { sum = end },
	}))
	s, err := host.NewSession(ctx, core.Request{}, opts...)
	isError(t, err, nil)
	s.SetHeaders(http.Header{}, "gzip")
	h := &zipHost{t: t}
	_ = s.Serve(h, stream)
	if got := int64(len(h.all)); sum.Bytes != got {
		t.Errorf("the summary has %d bytes, want those that were sent, %d", sum.Bytes, got)
	}
	return h, sum
}

func TestCompression(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for _, tt := range []struct {
		name   string
		opts   []core.Option
		stream core.Stream
		want   []string // what each Send decodes to
		broken bool
	}{
		{"nothing", nil, func(func(core.Event, error) bool) {}, []string{": open\n\n", ""}, false},
		{
			"events of a generator", nil, func(yield func(core.Event, error) bool) {
				for range 3 {
					yield(core.Event{Data: "a"}, nil)
				}
			},
			[]string{": open\n\n", "data: a\n\n", "data: a\n\ndata: a\n\n", ""}, false,
		},
		{
			"heartbeats", nil, func(yield func(core.Event, error) bool) {
				<-time.After(20 * time.Second)
				yield(core.Event{Data: "a"}, nil)
				<-time.After(20 * time.Second)
				yield(core.Event{Data: "a"}, nil)
			},
			[]string{": open\n\n", ": heartbeat\n\n", "data: a\n\n", ": heartbeat\n\n", "data: a\n\n", ""}, false,
		},
		{
			"blocks", nil, func(yield func(core.Event, error) bool) {
				f := feedOf(yield)
				f.Forward(blocks(frames(t, "a")))
				<-time.After(time.Second)
				f.Forward(blocks(frames(t, "a", "b")))
				<-time.After(20 * time.Second)
				f.Forward(blocks(frames(t, large)))
			},
			[]string{": open\n\n", "data: a\n\n", "data: a\n\ndata: b\n\n", ": heartbeat\n\n", "data: " + large + "\n\n", ""}, false,
		},
		{
			"both", []core.Option{core.WithRetry(time.Second)}, func(yield func(core.Event, error) bool) {
				f := feedOf(yield)
				yield(core.Event{Data: "a"}, nil)
				yield(core.Event{Data: "a"}, nil)
				f.Forward(blocks(frames(t, "a")))
				yield(core.Event{Data: "a"}, nil)
				f.Forward(blocks(frames(t, "a")))
			},
			[]string{"retry: 1000\n: open\n", "data: a\n\n", "data: a\n\ndata: a\n\ndata: a\n\ndata: a\n\n", ""}, false,
		},
		{
			"a failure", nil, func(yield func(core.Event, error) bool) {
				yield(core.Event{Data: "a"}, nil)
				yield(core.Event{}, errGenerator)
			},
			[]string{": open\n\n", "data: a\n\n"}, true,
		},
		{
			"a failure with an error event", []core.Option{core.WithErrorEvent(func(error) core.Event { return core.Event{Data: "a"} })},
			func(yield func(core.Event, error) bool) {
				feedOf(yield).Forward(blocks(frames(t, "a")))
				yield(core.Event{}, errGenerator)
			},
			[]string{": open\n\n", "data: a\n\n", "data: a\n\n"}, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := serveZipped(t.Context(), t, tt.stream, tt.opts...)
				equal(t, h.log, tt.want)
				want := error(nil)
				if tt.broken {
					want = io.ErrUnexpectedEOF
				}
				if _, err := h.decode(); !errors.Is(err, want) {
					t.Errorf("the stream ends with %v, want %v", err, want)
				}
			})
		})
	}
}

// An event that does not become smaller is sent in pieces, as without compression.
func TestCompressionOfNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(' ' + r.IntN(95)) //nolint:gosec // it is printable
	}
	h, _ := serveZipped(t.Context(), t, func(yield func(core.Event, error) bool) {
		feedOf(yield).Forward(blocks(frames(t, string(noise))))
	})
	if got, err := h.decode(); err != nil || got != ": open\n\ndata: "+string(noise)+"\n\n" {
		t.Errorf("got %d bytes and %v", len(got), err)
	}
	if h.most > 128<<10 {
		t.Errorf("got a piece of %d bytes, want at most 128 KiB", h.most)
	}
}

// A client that reads late gets all pieces of large events, what follows them, and a clean end.
func TestCompressionOfAStreamThatWasHandedOver(t *testing.T) {
	compress(t)
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // not a secret
	var want []string
	for range 30 {
		data := make([]byte, 1+r.IntN(1<<r.IntN(20)))
		for i := range data {
			data[i] = byte('!' + r.IntN(90)) //nolint:gosec // it is printable
		}
		want = append(want, string(data))
	}
	g := detached(t, handedOverAfter(t, &pump{next: list(io.EOF, want...)}, "first", "second"))
	got, err := g.events()
	if want := "first second " + strings.Join(want, " "); err != nil || datas(got) != want {
		t.Errorf("got %d events and %v, want %d", len(got), err, len(want))
	}
	sum := soon(t, g.sums, "the end")
	if sum.Events != 2+len(want) || sum.Cause != nil || sum.Err != nil {
		t.Errorf("got %+v", sum)
	}
}

// Whatever comes from a generator, from a hub and from the session itself, in any order.
func TestCompressionAtRandom(t *testing.T) {
	for seed := range uint64(hosttest.Rounds(60)) { //nolint:gosec // not negative
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not a secret
		want, events := "", 0
		synctest.Test(t, func(t *testing.T) {
			h, sum := serveZipped(t.Context(), t, func(yield func(core.Event, error) bool) {
				f := feedOf(yield)
				for range r.IntN(30) {
					data := strings.Repeat(fmt.Sprint("event ", r.IntN(5), " "), 1<<r.IntN(1+r.IntN(14)))
					frame := fmt.Sprintf("data: %s\n\n", data)
					switch r.IntN(5) {
					case 0:
						<-time.After(time.Duration(r.IntN(2_000)) * time.Microsecond)
						continue
					case 1:
						<-time.After(16 * time.Second)
						want += ": heartbeat\n\n"
						continue
					case 2:
						f.Forward(blocks(frames(t, data, data)))
						want += frame
						events++
					case 3:
						f.Forward(blocks(frames(t, data)))
					default:
						yield(core.Event{Data: data}, nil)
					}
					want += frame
					events++
				}
			})
			text, err := h.decode()
			got, want := strings.ReplaceAll(text, ": heartbeat\n\n", ""), ": open\n\n"+strings.ReplaceAll(want, ": heartbeat\n\n", "")
			if err != nil || got != want || sum.Events != events {
				t.Errorf("seed %d: got %d bytes, %d events and %v, want %d and %d", seed, len(got), sum.Events, err, len(want), events)
			}
		})
	}
}

// A response is compressed if its client accepts that, and if nobody else compresses it.
func TestCompressionHeaders(t *testing.T) {
	for _, tt := range []struct {
		name, accept, encoding string // of the request; of the response before
		option                 bool
		want                   string
		vary                   []string
	}{
		{"by default", "gzip", "", false, "", nil},
		{"accepted", "gzip", "", true, "gzip", []string{"Cookie, Origin", "Accept-Encoding"}},
		{"not accepted", "br", "", true, "", []string{"Cookie, Origin", "Accept-Encoding"}},
		{"somebody else compresses", "gzip, br", "br", true, "br", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opts []core.Option
			h := http.Header{"Vary": {"Cookie, Origin"}}
			if tt.option {
				opts = append(opts, core.WithCompression())
			}
			if tt.encoding != "" {
				h.Set("Content-Encoding", tt.encoding)
			}
			if tt.vary == nil {
				tt.vary = []string{"Cookie, Origin"}
			}
			tr := newTrial(t.Context(), t, opts...)
			tr.SetHeaders(h, tt.accept)
			if got := h.Get("Content-Encoding"); got != tt.want || tr.Compresses() != (tt.want == "gzip") {
				t.Errorf("got Content-Encoding %q and %t, want %q", got, tr.Compresses(), tt.want)
			}
			equal(t, h["Vary"], tt.vary)
		})
	}
}

// The rules of RFC 9110, section 12.5.3.
func TestAcceptEncoding(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                   false,
		"gzip":                               true,
		"GZip":                               true,
		"x-gzip":                             true,
		"gzip, deflate, br, zstd":            true,
		"br,gzip":                            true,
		"deflate, br":                        false,
		"gzipped":                            false,
		"*":                                  true,
		"*;q=0":                              false,
		"br;q=1.0, *;q=0.1":                  true,
		"gzip;q=0":                           false,
		"gzip;q=0.000":                       false,
		"gzip;q=0, *":                        false,
		"*;q=0, gzip":                        true,
		"gzip;q=0.001":                       true,
		"gzip ; q=0.5":                       true,
		"gzip;Q=0.5":                         true,
		"identity":                           false,
		"identity;q=1, *;q=0":                false,
		"identity;q=0":                       false,
		"identity;q=0.5, gzip;q=1.0":         true,
		"identity, gzip;q=0.5":               false,
		"identity;q=0.5, gzip;q=0.5":         true,
		"compress;q=0.5, gzip;q=1.0":         true,
		"gzip;q=1.000":                       true,
		"gzip;q=1.001":                       false,
		"gzip;q=2":                           false,
		"gzip;q=":                            false,
		"gzip;q=0.1234":                      false,
		"gzip;q=-1":                          false,
		"gzip;q=0.x":                         false,
		"gzip;level=9":                       false,
		", ,gzip":                            true,
		strings.Repeat("br,", 1000) + "gzip": true,
	} {
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithCompression())
		isError(t, err, nil)
		h := http.Header{}
		if s.SetHeaders(h, accept); s.Compresses() != want || (h.Get("Content-Encoding") == "gzip") != want {
			t.Errorf("%.40q: got %t with %v, want %t", accept, s.Compresses(), h, want)
		}
		s.Close(nil)
	}
}
