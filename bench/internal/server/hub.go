package server

import (
	"context"
	"net"
	"net/http"
	"os"

	"github.com/yieldsse/yieldsse/bench/internal/remotelog"
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

// LogEnv is the environment variable for the address at which remotelog serves the log
// of several servers.
const LogEnv = "YIELDSSE_BENCH_LOG"

func serveHubLog(ln net.Listener) error {
	l, err := remotelog.Dial(os.Getenv(LogEnv))
	if err != nil {
		return err
	}
	return serveHub(detach, hub.WithLog(l))(ln)
}
