// Package run runs generators that no request owns: the answer of a language model, an
// export, an import. A run goes on when its client reloads the page, other clients may
// join it, and it can be stopped. Whoever attaches to it gets all of its events, from the
// first one or after the last one that the client has seen, and then its end.
//
//	var answers run.Runner // or run.New, with options
//
//	// POST /answers/:id starts an answer.
//	func start(c *gin.Context) core.Stream {
//		prompt := c.PostForm("prompt")
//		return answers.Start(c.Request.Context(), c.Param("id"), func(ctx context.Context) core.Stream {
//			return model.Answer(ctx, prompt)
//		}, run.WithExclusive())
//	}
//
//	// GET /answers/:id resumes it after a reload, or in a second window.
//	func resume(c *gin.Context) core.Stream {
//		return answers.Attach(c.Request.Context(), c.Param("id"))
//	}
//
//	// DELETE /answers/:id stops it.
//	func stop(c *gin.Context) {
//		err := answers.Stop(c.Request.Context(), c.Param("id"), core.Event{Type: "stopped"})
//		...
//	}
//
// # One run for a key
//
// There is one run for a key at a time. A Start while it runs joins it, and its own generator
// is not called: that is right for an export that two windows ask for. With [WithExclusive]
// it is refused: that is right for a prompt, which must not be dropped.
//
// A run that has ended is held for some time (see [WithRetention]): a client that attaches
// in that time gets all of it. After that, nothing is left of it. The next Start with its
// key begins a new run, and replaces one that has ended; a client that has seen a part of
// the old one is told of a gap, and gets all of the new one. So use a key for each answer,
// not for each chat.
//
// A request with a last event ID resumes a stream that it has seen the beginning of, so
// it never begins a run, even if the view calls Start.
//
// # The end
//
// The end of a run is the end of each stream that is attached to it:
//
//   - The generator has returned: the streams end cleanly. A client that comes back with
//     the ID of the last event gets 204, which stops an EventSource.
//   - The generator has yielded an error or has panicked, or the run has exceeded a bound:
//     the streams fail with that error, so their responses are broken off, or get the
//     event of [core.WithErrorEvent].
//   - [Runner.Stop] has ended it: the streams end cleanly after the events that the caller
//     of Stop has added, or fail with [ErrStopped] if there are none, because a part must not
//     look like the whole.
//   - [Runner.Shutdown] has ended it: the streams fail with [core.ErrShutdown].
//
// A response may end cleanly before its run: after [core.WithMaxDuration], or by
// [core.Group.Shutdown]. An EventSource comes back by itself and resumes. Other clients do
// not come back by themselves, so send them a last event that says that the run has ended.
//
// # Several processes
//
// With [WithStore] several processes share their runs, over Redis or NATS: see
// [github.com/yieldsse/yieldsse/hub/redislog.NewRuns] and
// [github.com/yieldsse/yieldsse/hub/natslog.NewRuns]. There is one run for a key over all of them, and a
// client may attach, resume and stop it anywhere. If a process dies, the streams of its
// runs fail with [ErrLost] in all processes, see [WithLease].
//
// # What a run costs
//
// A run keeps its events, encoded once for all clients, in a [hub.Hub] of its own. It never
// waits for a client. Its bounds are refusals: a run that exceeds one of its own fails with a
// [*LimitError], and nothing of what it has sent is dropped. The bounds of all runs together
// only refuse new ones.
package run
