// Package encodings compares content codings for event streams: how many bytes each
// leaves, and what it takes to have each event decoded as it arrives.
package encodings

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/yieldsse/yieldsse/internal/deflate"
)

// An encoder compresses one stream. Flush makes what was written decodable.
type encoder interface {
	io.Writer
	Flush() error
}

// shared is what core.WithCompression does for a generator.
type shared struct {
	deflate.Context

	sum deflate.Sum
	to  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.sum.Add(p)
	return s.to.Write(s.Append(nil, p)) //nolint:wrapcheck // a test
}

func (s *shared) Flush() error { return nil }

var encoders = []struct {
	name string
	open func(to io.Writer) (encoder, error)
}{
	{"core", func(to io.Writer) (encoder, error) { return &shared{to: to}, nil }},
	{"gzip-7", func(to io.Writer) (encoder, error) { return gzip.NewWriterLevel(to, 7) }},
	{"zstd-1-8K", zstandard(zstd.SpeedFastest, 8<<10)},
	{"zstd-3-32K", zstandard(zstd.SpeedDefault, 32<<10)},
	{"brotli-4-64K", func(to io.Writer) (encoder, error) {
		return brotli.NewWriterOptions(to, brotli.WriterOptions{Quality: 4, LGWin: 16}), nil
	}},
	{"brotli-5-64K", func(to io.Writer) (encoder, error) {
		return brotli.NewWriterOptions(to, brotli.WriterOptions{Quality: 5, LGWin: 16}), nil
	}},
}

func zstandard(level zstd.EncoderLevel, window int) func(to io.Writer) (encoder, error) {
	return func(to io.Writer) (encoder, error) {
		return zstd.NewWriter(to, zstd.WithEncoderLevel(level), zstd.WithWindowSize(window),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	}
}

var texts = []struct {
	name string
	text func(n int) string
}{
	{"token", func(n int) string { return fmt.Sprintf(`data: {"delta":{"content":%q},"index":0}`+"\n\n", " "+word(n)) }},
	{"chat.completion.chunk", func(n int) string {
		return fmt.Sprintf(`data: {"id":"chatcmpl-A1b2C3d4","object":"chat.completion.chunk","created":1780000000,"model":"m-1",`+
			`"choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`+"\n\n", " "+word(n))
	}},
	{"200B", func(n int) string { return prices(n, 200) }},
	{"1kB", func(n int) string { return prices(n, 1000) }},
	{"8kB", func(n int) string { return prices(n, 8000) }},
}

// words are those of a long text, because a language model does not repeat a few.
var words = sync.OnceValue(func() []string {
	text, err := os.ReadFile("../../../docs/architecture.md")
	if err != nil {
		panic(err)
	}
	return strings.Fields(string(text))
})

func word(n int) string { return words()[n%len(words())] }

// prices returns an event of about size bytes.
func prices(n, size int) string {
	r := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	var b strings.Builder
	fmt.Fprintf(&b, "id: 3f2a9c41-%d\nevent: prices\ndata: [", n)
	for b.Len() < size-80 {
		fmt.Fprintf(&b, `{"symbol":"%c%c%c","price":%.2f,"bid":%.2f,"volume":%d},`,
			'A'+r.IntN(26), 'A'+r.IntN(26), 'A'+r.IntN(26), r.Float64()*1000, r.Float64()*1000, r.IntN(1e5))
	}
	return b.String() + "0]\n\n"
}

// BenchmarkStream is one write to a stream that has had many before. B/stream is what the
// stream keeps between two writes.
func BenchmarkStream(b *testing.B) {
	const all = 2 << 20 // bytes until the events come again, which is more than any window
	for _, text := range texts {
		var events [][]byte
		for size := 0; size < all; size += len(events[len(events)-1]) {
			events = append(events, []byte(text.text(len(events))))
		}
		for _, e := range encoders {
			b.Run(text.name+"/"+e.name, func(b *testing.B) {
				memory := kept(b, e.open, events)
				var out bytes.Buffer
				stream, err := e.open(&out)
				if err != nil {
					b.Fatal(err)
				}
				var n, size, got int
				for b.Loop() {
					event := events[n%len(events)]
					write(b, stream, event)
					size, got = size+len(event), got+out.Len()
					out.Reset()
					n++
				}
				b.ReportMetric(float64(got)/float64(size), "ratio")
				b.ReportMetric(float64(memory), "B/stream")
			})
		}
	}
}

// BenchmarkAlone is an event that stands for itself, as those of a hub do. For zstd it is a frame.
func BenchmarkAlone(b *testing.B) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range texts {
		event := []byte(text.text(1))
		for name, encode := range map[string]func() []byte{
			"core":   func() []byte { return new(deflate.Context).Append(nil, event) },
			"zstd-3": func() []byte { return z.EncodeAll(event, nil) },
		} {
			b.Run(text.name+"/"+name, func(b *testing.B) {
				var n int
				for b.Loop() {
					n = len(encode())
				}
				b.ReportMetric(float64(n)/float64(len(event)), "ratio")
			})
		}
	}
}

// kept returns how much memory a stream holds after some events, measured with several streams.
func kept(b *testing.B, open func(to io.Writer) (encoder, error), events [][]byte) uint64 {
	b.Helper()
	var streams [10]encoder
	before := live()
	for i := range streams {
		var err error
		if streams[i], err = open(io.Discard); err != nil {
			b.Fatal(err)
		}
		for _, e := range events[:20] {
			write(b, streams[i], e)
		}
	}
	after := live()
	runtime.KeepAlive(streams)
	return (max(after, before) - before) / uint64(len(streams))
}

func live() uint64 {
	runtime.GC()
	runtime.GC() // and what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func write(b *testing.B, stream encoder, event []byte) {
	b.Helper()
	if _, err := stream.Write(event); err != nil {
		b.Fatal(err)
	}
	if err := stream.Flush(); err != nil {
		b.Fatal(err)
	}
}
