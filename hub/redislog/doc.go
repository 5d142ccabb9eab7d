// Package redislog keeps the events of hubs in a Redis stream, so that what one
// process publishes reaches the subscribers of all, and a client may reconnect to
// any of them:
//
//	l := redislog.New(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}, "events")
//	defer l.Close()
//	h := hub.New(hub.WithLog(l))
//	defer h.Shutdown(ctx)
//
// It needs Redis 6.2 or later. Beside the stream's key there is one for its epoch,
// and for a while one for each idempotency key. In a cluster all are in the stream's
// slot. With Sentinel, go-redis writes lines about failovers to the log of the
// process; redis.SetLogger is to be told if they are not wanted.
//
// The keys must not be evicted: leave the server's maxmemory-policy at noeviction,
// its default. With access control lists this is enough for a user of the stream
// "events":
//
//	ACL SETUSER events on >password ~events ~{events}:*
//		+eval +evalsha +exists +get +ping +set +time
//		+xadd +xgroup +xinfo +xrange +xread +xtrim
//
// On a slow link fewer events are read at once; a single one must come within 3 s.
//
// # What is kept, and what is told
//
// Whether an event outlives the server once Publish has returned is the server's to
// say. With "appendfsync always" it does. With "everysec" a crash loses up to a
// second or two, without persistence all, and a failover what the new primary had
// not been sent.
//
// Each entry names the event before it and the epoch, so that a follower sees that
// nothing is missing between two of them. What was trimmed or deleted is told as a
// gap. A server that comes back with nothing begins a new epoch, which is told to
// everybody.
//
// So does a stream that has lost its end, as soon as a process notices that has seen
// what was lost: when it follows again, or publishes. Until then others may go on
// as if it had never been. If no such process is left, it is told to those clients
// that come with the ID of a lost event, unless a server whose clock was behind has
// given that to another one, and not to those who had not had it yet.
//
// # When the server changes
//
// That a connection answers does not prove that the server behind it still has the
// log: after a failover, connections to the old primary may live on. So a follower
// holds what it is given against what its own process has added. If that is not
// there, or the follower has failed for another reason, all connections are made anew;
// meanwhile [hub.Hub.Healthy] returns an error. What the new server lacks of what
// the process has added or seen is told to everybody, by a new epoch. A process that
// adds nothing cannot know, and follows the old primary for up to a minute: no
// connection is used for longer, see [New].
//
// An old primary that is cut off goes on taking events, which are lost when it comes
// back as a replica. Subscribers of others have a hole there until one of the processes
// that added them or saw them follows the new primary. Set min-replicas-to-write to 1 and
// min-replicas-max-lag to some seconds, so that it soon refuses them instead.
package redislog
