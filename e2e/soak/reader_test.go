package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// zipped returns the first events as a server sends them.
func zipped(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	for n := range int64(3) {
		text, err := eventOf(n + 1).AppendText(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := zip.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// flipped returns a copy of p in which the byte at i, or that far from the end, is another one.
func flipped(p []byte, i int) []byte {
	p = slices.Clone(p)
	p[(i+len(p))%len(p)] ^= 0xff
	return p
}

func TestCorrupt(t *testing.T) {
	good := zipped(t)
	for name, test := range map[string]struct {
		body []byte
		want bool
	}{
		"whole":                {good, false},
		"cut off":              {good[:len(good)-9], false},
		"cut off in its sum":   {good[:len(good)-1], false},
		"a wrong header":       {flipped(good, 0), true},
		"a wrong block":        {flipped(good, 10), true}, // the header has 10 bytes
		"a wrong sum":          {flipped(good, -8), true},
		"a wrong size":         {flipped(good, -1), true},
		"something behind it":  {append(slices.Clone(good), good[1:]...), true},
		"cut off, and no gzip": {good[10:20], true},
	} {
		zip, err := gzip.NewReader(bytes.NewReader(test.body))
		if err == nil {
			_, err = io.ReadAll(zip)
		}
		if got := corrupt(err); got != test.want {
			t.Errorf("%s: %v counts as corrupt: %t, want %t", name, err, got, test.want)
		}
	}
}

// A reader that gets a corrupt stream connects again, and reports it nevertheless.
func TestReaderReportsCorruptStream(t *testing.T) {
	body := flipped(zipped(t), -8)
	var served atomic.Bool
	again := make(chan struct{}, 1)
	p := listening(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case served.Load():
			select {
			case again <- struct{}{}:
			default:
			}
		case r.Header.Get("Accept-Encoding") == "gzip":
			served.Store(true)
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(body)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	s := newSoak(options{seed: *seed})
	r := &reader{topic: topics[0], from: "oldest", road: roads[0], random: s.random(0), count: &s.readings, fleet: []*process{p}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); r.read(ctx) }()
	hosttest.Receive(t, again, "the reader's next request")
	cancel()
	hosttest.Receive(t, done, "the reader's end")
	if got := s.report().Wrong; len(got) != 1 || !strings.Contains(got[0], gzip.ErrChecksum.Error()) {
		t.Errorf("the soak reports %q, want only %v", got, gzip.ErrChecksum)
	}
	if got := s.readings.events.Load(); got != 3 {
		t.Errorf("the reader has %d events, want the 3 before the wrong sum", got)
	}
}
