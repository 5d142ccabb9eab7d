// Package hub publishes events to topics, for any number of clients that come,
// go, fall behind and come back.
//
// A hub is one append-only log, and a subscription is a position in it. What is
// published is encoded once and appended; each client reads it from there at its
// own pace, whether it was there at the time or resumes later. So there is no seam
// between history and live traffic, and a slow client costs nobody else anything.
// Memory depends on the log's bounds, and up to about 150 KiB for each client that
// is stuck in a write.
//
//	var room hub.Hub // or hub.New, with options
//
//	r.GET("/chat", ginsse.Handler(func(c *gin.Context) core.Stream {
//		return room.Subscribe(c.Request.Context(), "chat")
//	}))
//	r.POST("/chat", func(c *gin.Context) {
//		id, err := room.Publish(c.Request.Context(), "chat", core.Event{Data: c.PostForm("text")})
//		...
//	})
//
// # Who may read what
//
// A client chooses the ID that it resumes after, and may send any: one that another
// client has told it, that of the hub's beginning, or one of another hub, which is sent all
// that is held. So "from now on" is where a client begins that brings no ID, and not a
// rule about what it may read. That is the view's to check before it subscribes;
// [WithMaxReplay] bounds how old the events are that anybody is given.
//
// # Whole or told
//
// A client that reconnects goes on after the last event that it has seen. It gets
// every event from there on, in the order of publishing and none twice, or a gap
// event where the log has dropped some in the meantime: see [Gap].
//
// # Order
//
// There is one order over all topics of a hub, and IDs grow with it, so that a
// client of several topics needs no more than the one ID to resume. An ID begins
// with an epoch: that of the hub, "<epoch>-<number>", is drawn when it is made, so
// that an ID of an earlier process is not taken for one of this. Take an ID for a
// word without parts; only its hub can compare it with another.
//
// # Many processes
//
// With a [Log], hubs in several processes share their events and the order. The log
// gives the IDs, in a form of its own, and they outlive each process; a new epoch
// begins when the log has lost what it had. See [WithLog].
package hub
