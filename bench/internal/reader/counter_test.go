package reader_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/bench/internal/reader"
)

const (
	head   = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	first  = "id: 100\nevent: add\ndata: a\n\n"
	second = "id: 101\nevent: add\ndata: b\n\n"
)

func TestCounter(t *testing.T) {
	for _, tt := range []struct {
		name     string
		response string
		events   int
		complete bool
	}{
		{"two chunks", head + "1c\r\n" + first + "\r\n1C\r\n" + second + "\r\n0\r\n\r\n", 2, true},
		{"two events in a chunk", head + "38\r\n" + first + second + "\r\n0\r\n\r\n", 2, true},
		{"an event over two chunks", head + "1b\r\n" + first[:27] + "\r\n1\r\n\n\r\n", 1, false},
		{"IDs of a hub", head + "20\r\n" + strings.ReplaceAll(first, "id: ", "id: a2b-") + "\r\n" +
			"20\r\n" + strings.ReplaceAll(second, "id: ", "id: a2b-") + "\r\n", 2, false},
		{"no space after the colon", head + "1b\r\nid:100\nevent:add\ndata:abc\n\n\r\n", 1, false},
		{"a comment", head + "8\r\n: open\n\n\r\n1c\r\n" + first + "\r\n", 1, false},
		{"half an event", head + "1b\r\n" + first[:27] + "\r\n0\r\n\r\n", 0, true},
		{"no last chunk", head + "1c\r\n" + first + "\r\n", 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.response); size++ {
				var c reader.Counter
				for rest := tt.response; rest != ""; {
					n := min(size, len(rest))
					if _, err := c.Write([]byte(rest[:n])); err != nil {
						t.Fatalf("%d bytes at a time: %v", size, err)
					}
					rest = rest[n:]
				}
				if c.Events != tt.events || c.Complete() != tt.complete || c.Bytes != int64(len(tt.response)) {
					t.Errorf("%d bytes at a time: got %d events, complete %v, %d bytes, want %d, %v, %d",
						size, c.Events, c.Complete(), c.Bytes, tt.events, tt.complete, len(tt.response))
				}
			}
		})
	}
}

func TestCounterErrors(t *testing.T) {
	chunk := "1c\r\n" + first + "\r\n"
	for _, tt := range []struct {
		name     string
		response string
	}{
		{"an event twice", head + chunk + chunk},
		{"another status", "HTTP/1.1 503 Service Unavailable\r\n\r\n"},
		{"no chunk", head + "id: 1\n"},
		{"a chunk that is too long", head + "1b\r\n" + first + "\r\n"},
		{"more after the end", head + chunk + "0\r\n\r\n" + chunk},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := new(reader.Counter).Write([]byte(tt.response)); err == nil {
				t.Error("got no error, want one")
			}
		})
	}
}

func TestCounterLoss(t *testing.T) {
	chunk := "1c\r\n" + first + "\r\n"
	for _, tt := range []struct{ name, response string }{
		{"whole numbers", chunk + strings.Replace(chunk, "100", "103", 1)},
		{"IDs of a hub", strings.Replace(chunk, "100", "a-0", 1) + strings.Replace(chunk, "100", "a-3", 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c reader.Counter
			if _, err := c.Write([]byte(head + tt.response)); err != nil {
				t.Fatal(err)
			}
			if c.Events != 2 || c.Lost != 2 {
				t.Errorf("got %d events, %d lost, want 2, 2", c.Events, c.Lost)
			}
		})
	}
}

func TestCounterData(t *testing.T) {
	var got []string
	c := reader.Counter{Data: func(data []byte) { got = append(got, string(data)) }}
	for _, b := range []byte(head + "38\r\n" + first + second + "\r\n") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
