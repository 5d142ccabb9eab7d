package server

import (
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/alexandrevicenzi/go-sse"
)

// serveVicenzi runs the library's server with one channel. The server does not keep
// events or send heartbeats.
func serveVicenzi(ln net.Listener) error {
	s := sse.NewServer(&sse.Options{})
	last := 0
	return fanOut{
		subscribe: s,
		publish: func(data string) (string, error) {
			last++
			id := strconv.Itoa(last)
			s.SendMessage(Events, sse.NewMessage(id, data, eventType))
			return id, nil
		},
		count: s.ClientCount,
		more: map[string]http.Handler{"/encode": job(func(n int) (int, error) {
			for i := range n {
				if _, err := io.Discard.Write(sse.NewMessage(strconv.Itoa(firstID+i), data, eventType).Bytes()); err != nil {
					return i, err
				}
			}
			return n, nil
		})},
	}.serve(ln)
}
