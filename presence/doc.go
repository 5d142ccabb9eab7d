// Package presence tracks which users have a topic open, in all processes. It tells clients
// who joins and leaves, and ends the sessions of a user everywhere.
//
//	var who presence.Tracker // or presence.New, with options
//
//	r.GET("/people", ginsse.Handler(func(c *gin.Context) core.Stream {
//		ctx := c.Request.Context()
//		if _, err := who.Join(ctx, "lobby", user(c), nil); err != nil {
//			...
//		}
//		return who.Stream(ctx, "lobby")
//	}))
//
// Each call of [Tracker.Join] adds a member, which leaves with its session. So a user with two
// windows is there twice, with one key.
//
// # Several processes
//
// With [WithLog] the Trackers of several processes share their members. Each process tells
// the others what changes, through the log, and now and then that it is there: the lease
// belongs to the process and not to the member, so 10,000 members cost no more than one
// while nothing changes. If a process dies, its members leave in the others after the
// lease, at most a second later: see [WithLease]. Each process measures that by its own
// clock, so the clocks of the machines may differ. A process that starts asks, and the
// others tell it who is there. If all processes have started together, none of them knows
// for certain: each reports for half a lease that the members are not known for certain,
// although it learns of them sooner.
//
// # What is known
//
// Each process is right about its own members. It may be wrong about others while the log is in
// trouble, or before it has been told: then [Tracker.Healthy] returns why, and clients are told
// that what they have is stale. The members that were known last stay until more is known,
// because a log that is silent does not mean that everybody has left. If the log has dropped
// something, the process asks again.
//
// A process that others do not hear of for its lease, although it lives, has left as far as they
// know. When they hear of it again, its members join again.
package presence
