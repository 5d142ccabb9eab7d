package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/launchdarkly/eventsource"
)

type ldEvent struct{ id, data string }

func (e ldEvent) Id() string  { return e.id } //nolint:revive,staticcheck // its interface's name
func (ldEvent) Event() string { return eventType }
func (e ldEvent) Data() string {
	return e.data
}

// serveLaunchDarkly runs the library's server with one channel, and its default buffer
// of 128 events for each client. A slower client is disconnected. With replay, the
// server keeps events in the library's SliceRepository, which sorts IDs as strings.
func serveLaunchDarkly(replay bool) func(net.Listener) error {
	return func(ln net.Listener) error {
		const channel = "news"
		s := eventsource.NewServer()
		repo := eventsource.NewSliceRepository()
		if replay {
			s.Register(channel, repo)
		}
		go beat(func() { s.PublishComment([]string{channel}, " heartbeat") })
		last := 0
		return fanOut{
			subscribe: s.Handler(channel),
			publish: func(data string) (string, error) {
				last++
				e := ldEvent{strconv.Itoa(last), data}
				if replay {
					e.id = fmt.Sprintf("%09d", last)
					repo.Add(channel, e)
				}
				s.Publish([]string{channel}, e)
				return e.id, nil
			},
			more: map[string]http.Handler{
				"/encode": job(ldEncode),
				"/parse":  parsing(ldParse),
			},
		}.serve(ln)
	}
}

func ldEncode(n int) (int, error) {
	var b bytes.Buffer
	enc := eventsource.NewEncoder(&b, false)
	for i := range n {
		b.Reset()
		if err := enc.Encode(ldEvent{strconv.Itoa(firstID + i), data}); err != nil {
			return i, err
		}
	}
	return n, nil
}

func ldParse(stream string) (events int, err error) {
	dec := eventsource.NewDecoder(strings.NewReader(stream))
	for {
		e, err := dec.Decode()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		if e.Data() == data {
			events++
		}
	}
}
