package deflate_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/internal/deflate"
)

// A stream is what a session makes of this package: texts of its own, and blocks.
type stream struct {
	t    testing.TB
	out  []byte
	text []byte // what it must decode to

	sum     deflate.Sum
	context deflate.Context
	read    int
}

func begin(t testing.TB) *stream {
	return &stream{t: t, out: []byte(deflate.Header)}
}

func (s *stream) add(text []byte) {
	s.out = s.context.Append(s.out, text)
	s.sum.Add(text)
	s.text = append(s.text, text...)
}

func (s *stream) addBlock(text []byte) {
	s.out = append(s.out, s.sum.AddBlock(deflate.NewBlock(text))...)
	s.context = deflate.Context{}
	s.text = append(s.text, text...)
}

// Read gives the decoder what there is, and no end.
func (s *stream) Read(p []byte) (int, error) {
	if s.read == len(s.out) {
		return 0, errNoMore
	}
	n := copy(p, s.out[s.read:])
	s.read += n
	return n, nil
}

var errNoMore = errors.New("the decoder wants more")

// decodesNow wants everything so far to be decoded, without what comes next.
func (s *stream) decodesNow() {
	s.t.Helper()
	s.read = 0
	decoder, err := gzip.NewReader(s)
	if err != nil {
		s.t.Fatal(err)
	}
	got := make([]byte, len(s.text))
	if n, err := io.ReadFull(decoder, got); err != nil || !bytes.Equal(got, s.text) {
		s.t.Fatalf("%d of %d bytes are decoded, with %v", n, len(s.text), err)
	}
}

// ends wants a whole stream with the trailer, and a broken one without any part of it.
func (s *stream) ends() {
	s.t.Helper()
	whole := s.sum.AppendTrailer(bytes.Clone(s.out))
	for n := len(s.out); n <= len(whole); n++ {
		decoder, err := gzip.NewReader(bytes.NewReader(whole[:n]))
		if err != nil {
			s.t.Fatal(err)
		}
		got, err := io.ReadAll(decoder)
		switch {
		case !bytes.Equal(got, s.text):
			s.t.Fatalf("got %d bytes, want %d", len(got), len(s.text))
		case n < len(whole) && !errors.Is(err, io.ErrUnexpectedEOF):
			s.t.Fatalf("with %d of %d bytes of the trailer: got %v, want %v", n-len(s.out), len(whole)-len(s.out), err, io.ErrUnexpectedEOF)
		case n == len(whole) && err != nil:
			s.t.Fatal(err)
		}
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32()) //nolint:gosec // any byte
	}
	return b
}

func TestStreams(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	long := strings.Repeat(`data: {"symbol":"ACME","price":101.5}`+"\n\n", 3000)
	for name, texts := range map[string][]string{
		"nothing":               {},
		"an empty text":         {""},
		"a byte":                {"x"},
		"every byte":            {string(every()), string(every())},
		"short texts":           {"data: a\n\n", "data: a\n\n", "data: b\n\n"},
		"one text, many times":  strings.SplitAfter(long, "\n\n"),
		"a long text":           {long, long},
		"the longest match":     {strings.Repeat("x", 1000)},
		"noise":                 {string(noise(r, 10)), string(noise(r, 70_000)), string(noise(r, 200_000))},
		"noise again, far away": {string(noise(r, 4)) + strings.Repeat("-", 4<<10) + string(noise(r, 4)), long},
		"other alphabets":       {strings.Repeat("日本語の文章。", 40), strings.Repeat("дом ", 500)},
	} {
		t.Run(name, func(t *testing.T) {
			own, blocks, mixed := begin(t), begin(t), begin(t)
			for i, text := range texts {
				own.add([]byte(text))
				blocks.addBlock([]byte(text))
				if i%3 == 1 {
					mixed.addBlock([]byte(text))
				} else {
					mixed.add([]byte(text))
				}
				if i < 20 || i == len(texts)-1 {
					own.decodesNow()
					blocks.decodesNow()
					mixed.decodesNow()
				}
			}
			own.ends()
			blocks.ends()
			mixed.ends()
		})
	}
}

func every() (all []byte) {
	for i := range 256 {
		all = append(all, byte(i))
	}
	return all
}

// Matches of all lengths and distances, for long enough that positions overflow.
func TestMatches(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // not a secret
	s := begin(t)
	for range 400 {
		text := noise(r, r.IntN(300))
		for range 5 {
			if n := len(s.text); n > 0 {
				from := max(0, n-1-r.IntN(9<<10))
				text = append(text, s.text[from:min(n, from+r.IntN(300))]...)
			}
		}
		s.add(text)
	}
	s.decodesNow()
	s.ends()
}

// A text is never much larger than without compression.
func TestSize(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // not a secret
	for _, n := range []int{0, 1, 100, 65_535, 65_536, 1 << 20} {
		text := noise(r, n)
		most := n + 10 + n>>10
		if got := len(new(deflate.Context).Append(nil, text)); got > most {
			t.Errorf("Context: got %d bytes for %d of noise, want at most %d", got, n, most)
		}
		if got := len(new(deflate.Sum).AddBlock(deflate.NewBlock(text))); got > most {
			t.Errorf("Block: got %d bytes for %d of noise, want at most %d", got, n, most)
		}
	}
}

// Events that resemble each other take a quarter of their size.
func TestRatio(t *testing.T) {
	var c deflate.Context
	size, zipped := 0, 0
	for n := range 1000 {
		text := fmt.Sprintf(`data: {"delta":{"content":" word%d"},"index":0}`+"\n\n", n*7919%997)
		size += len(text)
		zipped += len(c.Append(nil, []byte(text)))
	}
	if ratio := float64(zipped) / float64(size); ratio > 0.3 {
		t.Errorf("got %.2f of the size, want at most 0.3", ratio)
	}
}

// Base64 costs little: compression takes back almost all of the third that it adds.
func TestBase64(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // not a secret
	data := noise(r, 2000)
	text := "data: " + base64.StdEncoding.EncodeToString(data) + "\n\n"
	for name, got := range map[string]int{
		"Context": len(new(deflate.Context).Append(nil, []byte(text))),
		"Block":   len(new(deflate.Sum).AddBlock(deflate.NewBlock([]byte(text)))),
	} {
		if most := len(data) * 105 / 100; got > most {
			t.Errorf("%s: got %d bytes for %d in base64, want at most %d", name, got, len(data), most)
		}
	}
}

// A context does not know what another has compressed, although they share compressors.
func TestContextsAreApart(t *testing.T) {
	texts := []string{"data: the first of all\n\n", "data: the second of all\n\n"}
	var used, fresh deflate.Context
	for range 1000 {
		used.Append(nil, []byte(texts[0]))
	}
	used = deflate.Context{}
	for _, text := range texts {
		if got, want := used.Append(nil, []byte(text)), fresh.Append(nil, []byte(text)); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	}
}

// The sum of pieces is that of the whole.
func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // not a secret
	for range 200 {
		var sum deflate.Sum
		var all []byte
		for range r.IntN(10) {
			text := noise(r, r.IntN(1<<r.IntN(14)))
			all = append(all, text...)
			if r.IntN(2) == 0 {
				sum.Add(text)
			} else {
				sum.AddBlock(deflate.NewBlock(text))
			}
		}
		var want deflate.Sum
		want.Add(all)
		if sum != want {
			t.Fatalf("got %x, want %x", sum, want)
		}
		trailer := sum.AppendTrailer(nil)
		if got, want := trailer[2:6], crc32.ChecksumIEEE(all); uint32(got[0])|uint32(got[1])<<8|uint32(got[2])<<16|uint32(got[3])<<24 != want {
			t.Fatalf("the trailer has %x, want the CRC %x", got, want)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: a\n\n"), uint64(0x55))
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), uint64(3))
	f.Add(every(), uint64(0))
	f.Fuzz(func(t *testing.T, text []byte, cuts uint64) {
		s := begin(t)
		for ; len(text) > 0; cuts >>= 5 {
			n := min(len(text), 1+int(cuts>>1&15)*int(cuts>>1&15)*40)
			if cuts&1 == 0 {
				s.add(text[:n])
			} else {
				s.addBlock(text[:n])
			}
			text = text[n:]
			s.decodesNow()
		}
		s.ends()
	})
}

func BenchmarkAddBlock(b *testing.B) {
	block := deflate.NewBlock(make([]byte, 200))
	var s deflate.Sum
	for b.Loop() {
		s.AddBlock(block)
	}
}
