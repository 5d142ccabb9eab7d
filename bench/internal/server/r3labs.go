package server

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/r3labs/sse/v2"
)

// serveR3labs runs the library's server with one stream. With replay, the server keeps
// all events, because it has no bound.
func serveR3labs(replay bool) func(net.Listener) error {
	return func(ln net.Listener) error {
		const stream = "news"
		s := sse.New()
		s.AutoReplay = replay
		s.CreateStream(stream)
		if !replay {
			go beat(func() { s.Publish(stream, &sse.Event{Comment: []byte("heartbeat")}) })
		}
		last := -1 // the log begins with 0
		return fanOut{
			subscribe: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.RawQuery = "stream=" + stream
				s.ServeHTTP(w, r)
			}),
			publish: func(data string) (string, error) {
				last++
				id := strconv.Itoa(last)
				s.Publish(stream, &sse.Event{ID: []byte(id), Event: []byte(eventType), Data: []byte(data)})
				return id, nil
			},
			more: map[string]http.Handler{"/parse": parsing(r3labsParse)},
		}.serve(ln)
	}
}

// r3labsParse uses the library's client, because nothing else there parses events.
func r3labsParse(stream string) (events int, err error) {
	c := sse.NewClient("http://127.0.0.1/")
	c.Connection.Transport = canned(stream)
	c.ReconnectStrategy = never{}
	err = c.SubscribeRaw(func(e *sse.Event) {
		if string(e.Data) == data {
			events++
		}
	})
	if err != nil && strings.Contains(err.Error(), "EOF") {
		err = nil
	}
	return events, err
}

// A canned is the body of each response.
type canned string

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Content-Type": {"text/event-stream"}},
		Body:    io.NopCloser(strings.NewReader(string(c))),
		Request: r,
	}, nil
}

// never reconnects.
type never struct{}

func (never) NextBackOff() time.Duration { return -1 }
func (never) Reset()                     {}
