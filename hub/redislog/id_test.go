package redislog

import (
	"strings"
	"testing"
)

func TestParseID(t *testing.T) {
	for _, test := range []struct {
		id    string
		epoch string // empty for none of this log's
		want  position
	}{
		{"abcdefgh-0-0", "abcdefgh", position{0, 0}},
		{"a2345677-1795252476063-12", "a2345677", position{1795252476063, 12}},
		{"abcdefgh-18446744073709551615-18446744073709551615", "abcdefgh", position{1<<64 - 1, 1<<64 - 1}},
		{id: ""},
		{id: "5"},
		{id: "5-0"},
		{id: "abcdefgh"},
		{id: "abcdefgh-"},
		{id: "abcdefgh-5"},
		{id: "abcdefgh-5-"},
		{id: "abcdefgh--5"},
		{id: "abcdefgh-5-0-1"},
		{id: "abcdefgh-05-0"},
		{id: "abcdefgh-5-00"},
		{id: "abcdefgh-+5-0"},
		{id: "abcdefgh-5-x"},
		{id: "abcdefgh-5-0 "},
		{id: "abcdefgh-18446744073709551616-0"},
		{id: "abcdefg-5-0"},
		{id: "abcdefghi-5-0"},
		{id: "ABCDEFGH-5-0"},
		{id: "abcdefg1-5-0"},
		{id: "na\u00efveab-5-0"},
	} {
		epoch, got, err := parseID(test.id)
		switch {
		case test.epoch == "" && (err == nil || !strings.HasPrefix(err.Error(), "redislog: ")):
			t.Errorf("%q: got %s, %v, %v, want an error of redislog's", test.id, epoch, got, err)
		case test.epoch != "" && (err != nil || epoch != test.epoch || got != test.want):
			t.Errorf("%q: got %s, %v, %v, want %s, %v", test.id, epoch, got, err, test.epoch, test.want)
		case test.epoch != "" && epoch+"-"+got.String() != test.id:
			t.Errorf("%q came out as %q", test.id, epoch+"-"+got.String())
		}
	}
}
