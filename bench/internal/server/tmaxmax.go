package server

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/tmaxmax/go-sse"
)

func newTmaxmaxMessage(id, data string) *sse.Message {
	m := &sse.Message{Type: sse.Type(eventType)}
	if id != "" {
		m.ID = sse.ID(id)
	}
	m.AppendData(data)
	return m
}

// serveTmaxmax runs the library's server with the provider Joe. With replay, the server
// keeps events.
func serveTmaxmax(replay bool) func(net.Listener) error {
	return func(ln net.Listener) error {
		joe := &sse.Joe{}
		if replay {
			replayer, err := sse.NewFiniteReplayer(Held, true)
			if err != nil {
				return err
			}
			joe.Replayer = replayer
		}
		s := &sse.Server{
			Provider: joe,
			OnSession: func(w http.ResponseWriter, _ *http.Request) ([]string, bool) {
				setHeaders(w.Header())
				_ = http.NewResponseController(w).Flush() // otherwise the head waits for the first event
				return []string{sse.DefaultTopic}, true
			},
		}
		last := -1 // the replayer begins with 0
		go beat(func() {
			m := &sse.Message{}
			m.AppendComment("heartbeat")
			if !replay { // the replayer would keep the comment as an event
				_ = s.Publish(m)
			}
		})
		return fanOut{
			subscribe: s,
			publish: func(data string) (string, error) {
				last++
				id := strconv.Itoa(last)
				if replay {
					return id, s.Publish(newTmaxmaxMessage("", data))
				}
				return id, s.Publish(newTmaxmaxMessage(id, data))
			},
			more: map[string]http.Handler{
				"/each":   http.HandlerFunc(tmaxmaxEach),
				Idle:      http.HandlerFunc(tmaxmaxIdle),
				"/encode": job(tmaxmaxEncode),
				"/parse":  parsing(tmaxmaxParse),
			},
		}.serve(ln)
	}
}

func tmaxmaxEach(w http.ResponseWriter, r *http.Request) {
	session, err := sse.Upgrade(w, r)
	if err != nil {
		return
	}
	n := number(r.URL.RawQuery)
	for id := firstID; id < firstID+n; id++ {
		if err := session.Send(newTmaxmaxMessage(strconv.Itoa(id), data)); err != nil {
			return
		}
		if err := session.Flush(); err != nil {
			return
		}
	}
}

func tmaxmaxIdle(w http.ResponseWriter, r *http.Request) {
	session, err := sse.Upgrade(w, r)
	if err != nil {
		return
	}
	if session.Send(newTmaxmaxMessage(strconv.Itoa(firstID), data)) == nil && session.Flush() == nil {
		<-r.Context().Done()
	}
}

func tmaxmaxEncode(n int) (int, error) {
	var b bytes.Buffer
	for i := range n {
		b.Reset()
		if _, err := newTmaxmaxMessage(strconv.Itoa(firstID+i), data).WriteTo(&b); err != nil {
			return i, err
		}
	}
	return n, nil
}

func tmaxmaxParse(stream string) (events int, err error) {
	sse.Read(io.Reader(strings.NewReader(stream)), nil)(func(e sse.Event, readErr error) bool {
		if err = readErr; err != nil {
			return false
		}
		if e.Data == data {
			events++
		}
		return true
	})
	return events, err
}
