package natslog_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// A run that one process has started is read in another one.
func ExampleNewRuns() {
	open := func() (*run.Runner, func()) { // as each process does
		nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1))
		if err != nil {
			panic(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			panic(err)
		}
		store := natslog.NewRuns(js, "answers")
		return run.New(run.WithStore(store)), func() {
			store.Close()
			nc.Close()
		}
	}
	one, done := open()
	defer done()
	other, done := open()
	defer done()

	ctx := context.Background()
	one.Start(ctx, "chat-7", func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "To be"}, nil) && yield(core.Event{Data: "or not"}, nil)
		}
	})
	for e, err := range other.Attach(ctx, "chat-7") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
	}
	// Output:
	// To be
	// or not
}

func startRuns(t testing.TB) runtest.Server {
	p := spawn(t)
	return runtest.Server{
		Open: func(t testing.TB) (run.Store, func()) {
			js := connect(t, "nats://"+p.addr, nats.RetryOnFailedConnect(true))
			r := natslog.NewRuns(js, "runs")
			return r, func() {
				js.Conn().Close()
				_ = r.Close()
			}
		},
		Kill:    p.kill,
		Restart: p.start,
		RestartEmpty: func() {
			p.dir = t.TempDir()
			p.start()
		},
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Start: startRuns})
}

func BenchmarkRuns(b *testing.B) {
	runtest.Benchmark(b, func(t testing.TB) runtest.Server {
		url := runServer(t, server.Options{JetStream: true}).ClientURL()
		return runtest.Server{Open: func(t testing.TB) (run.Store, func()) {
			r := natslog.NewRuns(connect(t, url), "runs")
			return r, func() { _ = r.Close() }
		}}
	})
}
