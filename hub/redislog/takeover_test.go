package redislog_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// serveShards starts a cluster of three primaries, with a replica of the one that has the
// slot of the key "events". It returns that primary and its replica.
func serveShards(t *testing.T) (primary, replica *server) {
	t.Helper()
	const timeout = "1000" // ms, until a server is considered down
	servers := make([]*server, 4)
	for i := range servers {
		servers[i] = serve(t, "--cluster-enabled", "yes", "--cluster-node-timeout", timeout, "--repl-diskless-sync-delay", "0")
	}
	primary, replica = servers[0], servers[3]
	first := primary.client()
	const slots = 16384
	slot := int(first.ClusterKeySlot(soon(t), "events").Val())
	for i, s := range servers[:3] {
		c := s.client()
		var mine []int
		for n := range slots {
			if n == slot && i == 0 || n != slot && n%3 == i {
				mine = append(mine, n)
			}
		}
		if err := c.ClusterAddSlots(soon(t), mine...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := net.SplitHostPort(primary.addr)
	for _, s := range servers[1:] {
		if err := s.client().ClusterMeet(soon(t), host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	known := func(s *server) bool {
		info := s.client().ClusterInfo(soon(t)).Val()
		return strings.Contains(info, "cluster_known_nodes:4") && strings.Contains(info, "cluster_state:ok")
	}
	for _, s := range servers {
		hosttest.Eventually(t, "the cluster to begin", func() bool { return known(s) })
	}
	id := first.Do(soon(t), "CLUSTER", "MYID").String()
	id = id[strings.LastIndexByte(id, ' ')+1:]
	if err := replica.client().ClusterReplicate(soon(t), id).Err(); err != nil {
		t.Fatal(err)
	}
	online(t, primary, 1)
	return primary, replica
}

// online waits until a primary has that many replicas.
func online(t *testing.T, primary *server, n int) {
	t.Helper()
	c := primary.client()
	hosttest.Eventually(t, "the replicas to be there", func() bool {
		return strings.Count(c.Info(soon(t), "replication").Val(), "state=online") == n
	})
}

// serveSentinel starts a primary, two replicas, and a sentinel for them. It returns the
// primary and the sentinel's address.
func serveSentinel(t *testing.T) (primary *server, sentinel string) {
	t.Helper()
	primary = serve(t, "--repl-diskless-sync-delay", "0")
	return primary, watchedBySentinel(t, primary, primary.addr)
}

// watchedBySentinel starts two replicas and a sentinel, all of which find the primary
// at an address. It returns the sentinel's.
func watchedBySentinel(t *testing.T, primary *server, addr string) (sentinel string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	for range 2 {
		serve(t, "--replicaof", host+" "+port)
	}
	online(t, primary, 2)
	config := filepath.Join(t.TempDir(), "sentinel.conf") // the sentinel writes to it
	if err := os.WriteFile(config, fmt.Appendf(nil, "sentinel monitor events %s %s 1\n"+
		"sentinel down-after-milliseconds events 500\nsentinel failover-timeout events 5000\n", host, port), 0o600); err != nil {
		t.Fatal(err)
	}
	s := (&server{t: t, dir: t.TempDir(), args: []string{"--sentinel"}, config: config}).serve()
	c := s.client()
	hosttest.Eventually(t, "the sentinel to know the replicas", func() bool {
		return strings.Contains(c.Info(soon(t), "sentinel").Val(), "slaves=2")
	})
	return s.addr
}

// The primary dies, and a replica takes over. A hub that only follows and one that
// publishes continue with it: each event that was acknowledged comes once, or there is a gap.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (primary *server, options redis.UniversalOptions){
		"cluster": func(t *testing.T) (*server, redis.UniversalOptions) {
			primary, _ := serveShards(t)
			return primary, redis.UniversalOptions{Addrs: []string{primary.addr}, IsClusterMode: true}
		},
		"sentinel": func(t *testing.T) (*server, redis.UniversalOptions) {
			primary, sentinel := serveSentinel(t)
			return primary, redis.UniversalOptions{Addrs: []string{sentinel}, MasterName: "events"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, options := start(t)
			h, own := openHub(t, openWith(t, &options))
			_, others := openHub(t, openWith(t, &options))
			var acknowledged []string
			attempt := func(i int) bool {
				data := fmt.Sprint(i)
				_, err := h.Publish(soon(t), "a", core.Event{Data: data})
				if err == nil {
					acknowledged = append(acknowledged, data)
				}
				return err == nil
			}
			n := 0
			for ; n < 100; n++ {
				attempt(n)
			}
			primary.kill()
			began := time.Now()
			hosttest.EventuallyWithin(t, 3*patience, "the replica to take over", func() bool { n++; return attempt(n) })
			t.Logf("no event could be published for %v", time.Since(began))
			for range 100 {
				n++
				attempt(n)
			}
			hosttest.Eventually(t, "the hub to be well", func() bool { return h.Healthy() == nil })
			for _, events := range []hearing{own, others} {
				events.wantAll(t, acknowledged)
			}
		})
	}
}

// A primary is cut off together with one of the publishing processes, and the sentinel has a
// replica take over. The server refuses that process as soon as it has waited too long for
// a replica. When they are back, what the server had acknowledged until then is lost, and
// all clients are told.
func TestSplitBrain(t *testing.T) {
	t.Parallel()
	primary := serve(t, "--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "3")
	toPrimary := hubtest.NewProxy(t, primary.addr) // for all processes except that one
	sentinel := watchedBySentinel(t, primary, toPrimary.Addr)
	toSentinel := hubtest.NewProxy(t, sentinel) // for that process
	cut := func(is bool) {
		toPrimary.Stall(is, is)
		toSentinel.Stall(is, is)
	}

	h, own := openHub(t, openWith(t, &redis.UniversalOptions{
		Addrs: []string{toSentinel.Addr}, MasterName: "events",
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == toPrimary.Addr {
				addr = primary.addr
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}))
	other, others := openHub(t, openWith(t, &redis.UniversalOptions{Addrs: []string{sentinel}, MasterName: "events"}))
	publish(t, h, "before")
	own.want(t, "before")
	others.want(t, "before")

	cut(true)
	acknowledged := 0
	var err error
	hosttest.Eventually(t, "the server to refuse events", func() bool {
		_, err = h.Publish(soon(t), "a", core.Event{Data: "lost"})
		if err == nil {
			acknowledged++
		}
		return err != nil
	})
	if acknowledged == 0 || !strings.Contains(err.Error(), "NOREPLICAS") {
		t.Fatalf("the server acknowledged %d events and then said %v, want some and NOREPLICAS", acknowledged, err)
	}
	for range acknowledged {
		own.want(t, "lost")
	}
	publish(t, other, "meanwhile") // as soon as the replica has taken over
	others.want(t, "meanwhile")

	cut(false)
	publish(t, h, "after")
	own.want(t, "GAP")
	others.want(t, "GAP")
	publish(t, h, "then")
	own.want(t, "then")
	others.want(t, "then")
}
