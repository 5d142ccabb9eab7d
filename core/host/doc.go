// Package host is for authors of adapters: it carries a stream to one client of any host.
// You do not need it to write views. It may change when a host needs something new.
//
// A [Session] is one client's connection. An adapter makes a session before it runs the
// view, passes the session's context to the view, and then calls [Session.Serve] with a
// [Conn], which is all that a session knows of its host:
//
//	s, err := host.NewSession(r.Context(), core.Request{LastEventID: r.Header.Get("Last-Event-ID")}, opts...)
//	if err != nil {
//		return err // a *core.RefusedError, with the status to answer
//	}
//	stream := view(r.WithContext(s.Context()))
//	if stream == nil {
//		s.Close(nil) // the view has answered
//		return nil
//	}
//	s.SetHeaders(w.Header(), r.Header.Get("Accept-Encoding"))
//	return s.Serve(conn, stream)
//
// The session does the rest: it encodes, gathers and flushes events, sends heartbeats,
// notices a client that has gone or does not read, and ends the response so that a stream
// that has failed never looks whole. The suites of
// [github.com/yieldsse/yieldsse/ssetest/adaptertest] test whether an adapter does its part.
package host
