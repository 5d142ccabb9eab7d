package clients_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	gin "github.com/gin-contrib/sse"
	openai "github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/yieldsse/yieldsse/core"
)

const benchEvents = 2000 // in a turn of one side

// A language model's tokens, parsed from memory, compared with openai-go's decoder. The
// median ratio is reported as x-openai.
func BenchmarkTokens(b *testing.B) {
	var wire []byte
	for i := range benchEvents {
		wire = fmt.Appendf(wire, "data: {\"choices\":[{\"delta\":{\"content\":\" tok%04d\"}}]}.....\n\n", i)
	}
	header := http.Header{"Content-Type": {"text/event-stream"}}
	inTurn(b, "openai", func() (n int, err error) {
		for _, err := range core.Read(bytes.NewReader(wire)) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}, func() (n int, err error) {
		d := openai.NewDecoder(&http.Response{Header: header, Body: io.NopCloser(bytes.NewReader(wire))})
		for d.Next() {
			_ = d.Event()
			n++
		}
		return n, d.Err()
	})
}

// A value's event, encoded as JSON into memory, compared with what gin's c.SSEvent calls.
// The median ratio is reported as x-gin.
func BenchmarkJSON(b *testing.B) {
	type price struct {
		Symbol string  `json:"symbol"`
		Price  float64 `json:"price"`
		Volume int     `json:"volume"`
		Note   string  `json:"note"`
	}
	for _, bb := range []struct{ name, note string }{
		{"50 bytes", ""},
		{"150 bytes", "The quick brown fox jumps over the lazy dog, and the lazy dog sleeps on under the old tree in the sun."},
	} {
		b.Run(bb.name, func(b *testing.B) {
			value := price{"ACME", 12.5, 1000, bb.note}
			var ours []byte
			var theirs bytes.Buffer
			inTurn(b, "gin", func() (int, error) {
				for i := range benchEvents {
					e, err := core.Event{ID: "1234567", Type: "price"}.JSON(value)
					if err != nil {
						return i, err
					}
					if ours, err = e.AppendText(ours[:0]); err != nil {
						return i, err
					}
				}
				return benchEvents, nil
			}, func() (int, error) {
				for i := range benchEvents {
					theirs.Reset()
					if err := gin.Encode(&theirs, gin.Event{Id: "1234567", Event: "price", Data: value}); err != nil {
						return i, err
					}
				}
				return benchEvents, nil
			})
		})
	}
}

// inTurn runs both sides in turn, b.N times each. Each returns how many events it handled.
func inTurn(b *testing.B, peer string, ours, theirs func() (int, error)) {
	b.Helper()
	clock := func(f func() (int, error)) float64 {
		begin := time.Now()
		if n, err := f(); err != nil || n != benchEvents {
			b.Fatalf("got %d events, %v, want %d", n, err, benchEvents)
		}
		return float64(time.Since(begin)) / benchEvents
	}
	var mine, other, ratios []float64
	for range b.N {
		m, o := clock(ours), clock(theirs)
		mine, other, ratios = append(mine, m), append(other, o), append(ratios, m/o)
	}
	median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
	b.ReportMetric(0, "ns/op") // of a turn of both
	b.ReportMetric(median(mine), "ns/event")
	b.ReportMetric(median(other), "ns-"+peer+"/event")
	b.ReportMetric(median(ratios), "x-"+peer)
}
