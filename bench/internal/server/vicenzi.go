package server

import (
	"net"
	"strconv"

	"github.com/alexandrevicenzi/go-sse"
)

// serveVicenzi has its server with one channel. It holds no events, and sends no
// heartbeats.
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
	}.serve(ln)
}
