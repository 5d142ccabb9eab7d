// App is the server of the rolling restart: streams over a log in Redis, runs, and the
// leaving of docs/draining.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
)

var (
	addr   = flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	server = flag.String("redis", "redis://127.0.0.1:6379", "the `URL` of the Redis server that has the log")
)

var (
	notice = flag.Duration("notice", 10*time.Second, "how long the proxies may take to notice that this process leaves")
	window = flag.Duration("window", time.Minute, "in which the streams end one by one")
	bound  = flag.Duration("bound", 75*time.Second, "of the window, and of the runs")
	rest   = flag.Duration("rest", 5*time.Second, "for the readers of runs, and then for what is still open")
)

var (
	events  *hub.Hub   // over a log, as in docs/cluster.md
	answers run.Runner // or any other runs
)

var (
	streams core.Group // WithGroup of the streams that go on at another machine
	readers core.Group // WithGroup of the streams of runs, which only this machine has
	leaving atomic.Bool
)

// ready answers the proxy.
func ready(w http.ResponseWriter, _ *http.Request) {
	if leaving.Load() || events.Healthy() != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// leave ends the process's work after SIGTERM: the streams move to other machines, and the
// runs finish here.
func leave(srv *http.Server) error {
	leaving.Store(true)
	<-time.After(*notice)

	ctx, cancel := context.WithTimeout(context.Background(), *bound)
	defer cancel()
	finished := make(chan error, 1)
	go func() { finished <- answers.Shutdown(ctx) }()
	err := errors.Join(streams.Drain(ctx, *window), <-finished)

	ctx, cancel = context.WithTimeout(context.Background(), *rest)
	defer cancel()
	left := readers.Wait(ctx) // until they know how the runs have ended

	ctx, cancel = context.WithTimeout(context.Background(), *rest)
	defer cancel()
	err = errors.Join(err, left, events.Shutdown(ctx))
	if left != nil {
		return errors.Join(err, srv.Close()) // breaks their streams off, because Shutdown would end them cleanly
	}
	return errors.Join(err, srv.Shutdown(ctx))
}

func main() {
	flag.Parse()
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	o, err := redis.ParseURL(*server)
	if err != nil {
		return err
	}
	l := redislog.New(&redis.UniversalOptions{Addrs: []string{o.Addr}}, "events")
	defer func() { _ = l.Close() }()
	events = hub.New(hub.WithLog(l))

	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", *addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()

	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Fprintln(os.Stdout, "serving")
	select {
	case err := <-served:
		return err
	case <-told.Done():
	}
	return leave(srv)
}

func mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", ready)
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "process %d: %d streams, %d readers", os.Getpid(), streams.Len(), readers.Len())
	})
	mux.Handle("GET /stream", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return events.SubscribeFrom(r.Context(), hub.Oldest, "news")
	}, core.WithGroup(&streams), core.WithDetach(), core.WithRetry(3*time.Second)))

	run := core.WithGroup(&readers)
	mux.Handle("POST /answers/{key}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return answers.Start(r.Context(), r.PathValue("key"), answer(r.PathValue("key")))
	}, run))
	mux.Handle("GET /answers/{key}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return answers.Attach(r.Context(), r.PathValue("key"))
	}, run))
	return mux
}

// answer generates what is published for an answer, until the word "end".
func answer(key string) func(context.Context) core.Stream {
	return func(ctx context.Context) core.Stream {
		words := events.SubscribeFrom(ctx, hub.Now, "answer."+key)
		return func(yield func(core.Event, error) bool) {
			if !yield(core.Event{Data: "begin"}, nil) {
				return
			}
			for e, err := range words {
				e.ID = "" // the run's events have their own
				if !yield(e, err) || err != nil || e.Data == "end" {
					return
				}
			}
		}
	}
}
