package core

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// The functions that are compared take the same arguments and are called in the same way.

//go:noinline
func encode(b []byte, e *Event, _ []string) []byte {
	b, _ = e.appendTo(b)
	return b
}

//go:noinline
func encodeByHand(b []byte, e *Event, _ []string) []byte {
	b = append(b, "id: "...)
	b = append(b, e.ID...)
	b = append(b, "\nevent: "...)
	b = append(b, e.Type...)
	b = append(b, "\ndata: "...)
	b = append(b, e.Data...)
	return append(b, "\n\n"...)
}

//go:noinline
func encodeLinesByHand(b []byte, e *Event, lines []string) []byte {
	b = append(b, "id: "...)
	b = append(b, e.ID...)
	b = append(b, "\nevent: "...)
	b = append(b, e.Type...)
	b = append(b, '\n')
	for _, line := range lines {
		b = append(b, "data: "...)
		b = append(b, line...)
		b = append(b, '\n')
	}
	return append(b, '\n')
}

// wireEvent returns an event with this many lines, whose wire form has this many bytes.
func wireEvent(tb testing.TB, size, lines int) Event {
	tb.Helper()
	e := Event{ID: "1234567", Type: "message-added"}
	text := size - len("id: \nevent: \n\n") - len(e.ID) - len(e.Type) - lines*len("data: \n")
	parts := make([]string, lines)
	for i := range parts {
		parts[i] = strings.Repeat("The quick brown fox. ", size)[:text/lines]
	}
	parts[0] += strings.Repeat("x", text%lines)
	e.Data = strings.Join(parts, "\n")
	if b, err := e.AppendText(nil); err != nil || len(b) != size {
		tb.Fatalf("got %d bytes, %v, want %d", len(b), err, size)
	}
	return e
}

// The encoding of an Event, compared with appends of the same bytes written by hand,
// which check nothing. The median ratio is reported as x-hand.
func BenchmarkAppendText(b *testing.B) {
	for _, bb := range []struct {
		name  string
		event Event
		hand  func([]byte, *Event, []string) []byte
	}{
		{"200 bytes", wireEvent(b, 200, 1), encodeByHand},
		{"4 lines", wireEvent(b, 200, 4), encodeLinesByHand},
		{"2 kB", wireEvent(b, 2000, 1), encodeByHand},
		{"40 lines", wireEvent(b, 2000, 40), encodeLinesByHand},
	} {
		b.Run(bb.name, func(b *testing.B) {
			events, lines := make([]Event, 64), make([][]string, 64)
			for i := range events {
				e := &events[i]
				*e = bb.event
				e.ID = fmt.Sprintf("%07d", i)
				e.Data = strings.Clone(e.Data)
				lines[i] = strings.Split(e.Data, "\n")
			}
			buf := make([]byte, 0, 4<<10)
			if got, want := encode(buf, &events[0], lines[0]), bb.hand(nil, &events[0], lines[0]); !bytes.Equal(got, want) {
				b.Fatalf("got %q, want %q", got, want)
			}
			b.ReportAllocs()
			run := func(f func([]byte, *Event, []string) []byte) func(int) {
				return func(n int) {
					for i := range n {
						i %= len(events)
						buf = f(buf[:0], &events[i], lines[i])
					}
				}
			}
			compare(b, "x-hand", run(encode), run(bb.hand))
		})
	}
}

// Base64 and the encoding of its event, compared with EncodeToString. The median ratio is
// reported as x-hand.
func BenchmarkBase64(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size, " bytes"), func(b *testing.B) {
			raw, buf := make([]byte, size), make([]byte, 0, 2*size+100)
			run := func(event func() Event) func(int) {
				return func(n int) {
					for range n {
						e := event()
						buf = encode(buf[:0], &e, nil)
					}
				}
			}
			b.ReportAllocs()
			compare(b, "x-hand", run(func() Event { return Event{Type: "tile"}.Base64(raw) }), run(func() Event {
				return Event{Type: "tile", Data: base64.StdEncoding.EncodeToString(raw)}
			}))
		})
	}
}

// The parser, compared with bytes.IndexByte for each newline of the same bytes. The
// median ratio is reported as x-hand.
func BenchmarkRead(b *testing.B) {
	for _, bb := range []struct {
		name  string
		event Event
	}{
		{"60 bytes", Event{Data: `{"choices":[{"index":0,"delta":{"content":" quick"}}]}`}}, // a token of a language model
		{"200 bytes", wireEvent(b, 200, 1)},
		{"4 lines", wireEvent(b, 200, 4)},
		{"2000 bytes", wireEvent(b, 2000, 1)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			const events = 1000
			var wire []byte
			for i := range events {
				if bb.event.ID != "" {
					bb.event.ID = fmt.Sprintf("%07d", i)
				}
				wire, _ = bb.event.AppendText(wire)
			}
			size, lines := len(wire)/events, bytes.Count(wire, []byte("\n"))/events
			b.ReportAllocs()
			r := bytes.NewReader(wire)
			compare(b, "x-hand",
				func(n int) {
					for n > 0 {
						r.Reset(wire)
						for _, err := range Read(io.LimitReader(r, int64(min(n, events)*size))) {
							if err != nil {
								b.Fatal(err)
							}
							n--
						}
					}
				},
				func(n int) {
					for n > 0 {
						for rest := wire[:min(n, events)*size]; len(rest) > 0; {
							rest = rest[bytes.IndexByte(rest, '\n')+1:]
							newlines++
							if newlines%lines == 0 {
								n--
							}
						}
					}
				})
		})
	}
}

var newlines int

// compare runs ours and its yardstick by turns, b.N times each, and reports the median
// ratio of their times.
func compare(b *testing.B, unit string, ours, yardstick func(n int)) {
	b.Helper()
	const most = 2048 // calls in a turn, so that a disturbance affects both
	var ratios, mine, other []float64
	clock := func(f func(int), n int) float64 {
		begin := time.Now()
		f(n)
		return float64(max(time.Since(begin), 1)) / float64(n)
	}
	ours(most)
	yardstick(most)
	b.ResetTimer()
	for left := b.N; left > 0; left -= most {
		n := min(left, most)
		mine = append(mine, clock(ours, n))
		other = append(other, clock(yardstick, n))
		ratios = append(ratios, mine[len(mine)-1]/other[len(other)-1])
	}
	b.StopTimer()
	median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
	b.ReportMetric(median(ratios), unit)
	b.ReportMetric(median(mine), "ns/op")
	b.ReportMetric(median(other), "ns-hand/op")
}
