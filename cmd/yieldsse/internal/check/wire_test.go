package check_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
)

// public returns w without its unexported fields.
func public(w check.Wire) check.Wire {
	var p check.Wire
	from, to := reflect.ValueOf(w), reflect.ValueOf(&p).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return p
}

func TestWire(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		want check.Wire
	}{
		{"nothing", "", check.Wire{}},
		{"plain", "id: 1\ndata: a\n\n", check.Wire{LF: 3, Spaced: 1}},
		{"CRLF", "data: a\r\n\r\n", check.Wire{CRLF: 2, Spaced: 1}},
		{"CR", "data: a\r\r", check.Wire{CR: 2, Spaced: 1}},
		{"CR in data", "data: a\rb\n\n", check.Wire{CR: 1, LF: 2, Spaced: 1, UnknownLines: 1, Unknown: []string{"b (a line without a colon)"}}},
		{"a comment", ": a\n:\n\n", check.Wire{LF: 3, Comments: 2}},
		{"no space", "data:a\ndata:\ndata\n\n", check.Wire{LF: 4, Unspaced: 1}},
		{"no space and a space", "data:a\n\ndata: b\n\n", check.Wire{LF: 4, Spaced: 1, Unspaced: 1}},
		{
			"unknown fields", "Data: a\nmsg: b\nmsg: c\n\n",
			check.Wire{LF: 4, UnknownLines: 3, Unknown: []string{"Data", "msg"}},
		},
		{
			"many unknown fields", "a:\nb:\nc:\nd:\ne:\nf:\n\n",
			check.Wire{LF: 7, UnknownLines: 6, Unknown: []string{"a", "b", "c", "d", "e"}},
		},
		{"a BOM", "\uFEFFdata: a\n\n", check.Wire{LF: 2, BOM: true, Spaced: 1}},
		{"a late BOM", "\n\uFEFFdata: a\n\n", check.Wire{LF: 3, UnknownLines: 1, Unknown: []string{"\uFEFFdata"}}},
		{"characters", "data: \u00e9\u4f60\U0001F44B\n\n", check.Wire{LF: 2, Spaced: 1}},
		{"Latin-1", "data: \xe9t\xe9\n\n", check.Wire{LF: 2, Spaced: 1, InvalidUTF8: true}},
		{"half a character", "data: \xe4\xbd\n\n", check.Wire{LF: 2, Spaced: 1, InvalidUTF8: true}},
		{"half a character at the end", "data: a\n\n: \xe4\xbd", check.Wire{LF: 2, Spaced: 1, InvalidUTF8: true, Pending: 4}},
		{"retries", "retry: 100\nretry: 0\n\nretry: 5000\n\n", check.Wire{LF: 5, Retries: check.Range{Any: true, Longest: 5 * time.Second}}},
		{"a long retry", "retry: 99999999999999999999\n\n", check.Wire{LF: 2, Retries: check.Range{Any: true, Shortest: 1000 * time.Hour, Longest: 1000 * time.Hour}}},
		{
			"a retry that goes wrong late", "retry: " + strings.Repeat("0", 5000) + "x\n\n",
			check.Wire{LF: 2, BadRetries: 1, BadRetry: strings.Repeat("0", 5000) + "x"},
		},
		{"an ID that goes wrong late", "id: " + strings.Repeat("0", 5000) + "\x00\ndata: a\n\n", check.Wire{LF: 3, Spaced: 1, NulIDs: 1}},
		{"bad retries", "retry: 3s\nretry: -1\nretry:\n\n", check.Wire{LF: 4, BadRetries: 3, BadRetry: "3s"}},
		{"a NUL in an ID", "id: a\x00b\ndata: a\n\n", check.Wire{LF: 3, Spaced: 1, NulIDs: 1}},
		{"an ID alone", "id: 1\n\n", check.Wire{LF: 2, IDOnly: 1}},
		{"a type alone", "event: a\n\n", check.Wire{LF: 2, NoData: 1}},
		{"no blank line", "data: a\n\ndata: b\n", check.Wire{LF: 3, Spaced: 2, Unfinished: true, Pending: 7}},
		{"no line end", "data: a\n\ndata: b", check.Wire{LF: 2, Spaced: 1, Unfinished: true, Pending: 7}},
		{"a comment at the end", "data: a\n\n: b", check.Wire{LF: 2, Spaced: 1, Pending: 3}},
		{"a long line", "data: " + strings.Repeat("a", 5000) + "\n\n", check.Wire{LF: 2, Spaced: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 4096} {
				var w check.Wire
				for rest := test.text; rest != ""; rest = rest[min(size, len(rest)):] {
					if n, err := w.Write([]byte(rest[:min(size, len(rest))])); n != min(size, len(rest)) || err != nil {
						t.Fatalf("size %d: got %d, %v", size, n, err)
					}
				}
				_ = w.Close()
				got, want := public(w), test.want
				if !reflect.DeepEqual(got, want) {
					t.Errorf("size %d: got\n%+v\nwant\n%+v", size, got, want)
				}
			}
		})
	}
}
