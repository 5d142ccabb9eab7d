package natslog_test

import (
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// runCluster runs a cluster of three servers in this process, and returns their URLs.
func runCluster(t testing.TB) (urls []string) {
	t.Helper()
	var addrs []string
	var routes []*url.URL
	for range 3 {
		addr := testenv.Addr(t)
		addrs = append(addrs, addr)
		routes = append(routes, &url.URL{Scheme: "nats", Host: addr})
	}
	for i, addr := range addrs {
		host, port := routes[i].Hostname(), 0
		if _, err := fmt.Sscan(routes[i].Port(), &port); err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		s := runServer(t, server.Options{
			ServerName: fmt.Sprint("server", i), JetStream: true, Routes: routes,
			Cluster: server.ClusterOpts{Name: "three", Host: host, Port: port},
		})
		urls = append(urls, s.ClientURL())
	}
	return urls
}

// Any of three servers may answer a reader, also one that does not have the newest messages yet. Each process
// is connected to another one. The tests share the servers, with a stream for each.
func TestRunsInCluster(t *testing.T) {
	t.Parallel()
	urls := runCluster(t)
	js := connect(t, urls[0])
	for deadline := time.Now().Add(2 * patience); ; {
		_, err := js.CreateStream(within(t, time.Second), jetstream.StreamConfig{Name: "first", Replicas: 3})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the cluster does not begin: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
	var streams atomic.Int64
	runtest.Run(t, runtest.Backend{Programs: 1, Start: func(t testing.TB) runtest.Server {
		stream := fmt.Sprint("runs", streams.Add(1))
		t.Cleanup(func() { _ = js.DeleteStream(within(t, patience), stream) })
		var opened atomic.Int64
		return runtest.Server{Open: func(t testing.TB, _ string) (run.Store, func()) {
			js := connect(t, urls[opened.Add(1)%3])
			r := natslog.NewRuns(js, stream, natslog.WithReplicas(3))
			return r, func() {
				js.Conn().Close()
				_ = r.Close()
			}
		}}
	}})
}
