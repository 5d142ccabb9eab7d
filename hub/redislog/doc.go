// Package redislog keeps the events of hubs in a Redis stream, so that an event that one
// process publishes reaches the subscribers of all, and a client may reconnect to
// any of them:
//
//	l := redislog.New(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}, "events")
//	defer l.Close()
//	h := hub.New(hub.WithLog(l))
//	defer h.Shutdown(ctx)
//
// It needs Redis 6.2 or later. Besides the stream's key there is a key for its epoch,
// and for some time a key for each idempotency key. In a cluster all are in the stream's
// slot. With Sentinel, go-redis writes lines about failovers to the log of the
// process. Use redis.SetLogger if you do not want them.
//
// The keys must not be evicted: leave the server's maxmemory-policy at noeviction,
// its default. With access control lists, these permissions are enough for a user of the
// stream "events":
//
//	ACL SETUSER events on >password ~events ~{events}:*
//		+eval +evalsha +exists +get +ping +set +time
//		+xadd +xgroup +xinfo +xrange +xread +xtrim
//
// On a slow link fewer events are read at once. A single event must come within 3 s.
//
// # What is kept, and what clients are told
//
// The server decides whether an event survives a crash once Publish has returned. With
// "appendfsync always" it does. With "everysec" a crash loses up to a second or two,
// without persistence it loses everything, and a failover loses what the new primary had
// not been sent.
//
// Each entry contains the ID of the entry before it, with the epoch, so a follower sees that
// nothing is missing between two of them. What was trimmed or deleted is a gap. A server
// that comes back empty begins a new epoch, and all clients are told.
//
// A stream that has lost its end also begins a new epoch, as soon as a process that has seen
// the lost entries notices that: when it follows again, or publishes. Until then others may
// continue as if those entries had never existed. If no such process is left, only clients that
// come with the ID of a lost entry are told, unless a server whose clock was behind has
// given that ID to another entry. Clients that had not had the lost entries yet are not told.
//
// # When the server changes
//
// An answer does not prove that the server still has the log: after a failover,
// connections to the old primary may stay open. So a follower compares what it is given with
// what its own process has added. If an added entry is missing, or the follower has failed for
// another reason, all connections are made again; in the meantime [hub.Hub.Healthy] returns an
// error. If the new server lacks something that the process has added or seen, a new epoch
// tells all clients. A process that adds nothing cannot notice, and follows the old primary for
// up to a minute: no connection is used for longer, see [New].
//
// An old primary that is cut off still accepts events, which are lost when it comes
// back as a replica. Subscribers of other processes miss them, until one of the processes
// that have added or seen them follows the new primary. If the new primary is already in another
// epoch, what was added after that had begun is recognized by its time, so the servers' clocks should agree.
// Set min-replicas-to-write to 1 and min-replicas-max-lag to some seconds, so that an old primary
// soon refuses events instead.
package redislog
