package server

import (
	"context"
	"net"
	"net/http"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func serveHub(opt core.Option, opts ...hub.Option) func(net.Listener) error {
	return func(ln net.Listener) error {
		const topic = "news"
		h := hub.New(opts...)
		return fanOut{
			subscribe: nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				return h.Subscribe(r.Context(), topic)
			}, core.WithHeartbeat(heartbeat()), opt),
			publish: func(data string) (string, error) {
				return h.Publish(context.Background(), topic, core.Event{Type: eventType, Data: data})
			},
			count: func() int { return h.Len(topic) },
		}.serve(ln)
	}
}

// Held is how many events the servers that can replay keep.
const Held = 100_000

var keepAll = []hub.Option{hub.WithMaxEvents(Held), hub.WithMaxBytes(1 << 30)}
