// Package hub publishes events to topics, for any number of clients that come,
// go, fall behind and come back.
//
// A hub is one append-only log, and a subscription is a position in it. An event is
// encoded once and appended; each client reads it from there at its own pace, whether
// it was connected at the time or resumes later. So there is no seam between history
// and live traffic, and a slow client costs the others nothing. A hub needs the memory
// that its bounds allow, about as much again if its events are compressed, and up to
// 256 KiB for each client that is stuck in a write.
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
// A client chooses the ID that it resumes after, and may send any ID: one that it has from
// another client, that of the hub's beginning, or one of another hub. After an ID of
// another hub it gets everything that is held. So "from now on" only says where a client
// without an ID begins. It is not a rule about what a client may read: the view must check
// that before it subscribes. [WithMaxReplay] bounds how old the events are that any client
// gets.
//
// # Every event, or a gap
//
// A client that reconnects continues after the last event that it has seen. It gets
// every event from there on, in the order of publishing and none twice, or a gap
// event if the log has dropped some in the meantime: see [Gap].
//
// # Order
//
// There is one order over all topics of a hub, and IDs grow with it, so a client of
// several topics needs only one ID to resume. An ID begins with an epoch. A hub draws
// its epoch when it is made, and its IDs are "<epoch>-<number>", so an ID of an earlier
// process is not mistaken for one of this process. Treat an ID as opaque: only its hub
// can compare it with another.
//
// # Many processes
//
// With a [Log], hubs in several processes share their events and the order. The log
// assigns the IDs, in a form of its own, and they outlive each process; a new epoch
// begins when the log has lost its entries. See [WithLog].
package hub
