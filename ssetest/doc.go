// Package ssetest tests event streams: it opens them as a client would, on a real
// server, and says what had come when something does not.
//
//	func TestTicks(t *testing.T) {
//		ssetest.NoLeaks(t)
//		s := ssetest.Open(t, ssetest.Serve(t, handler)+"/ticks")
//		ssetest.Equal(t, s.Collect(2), []core.Event{
//			{ID: "1", Type: "tick", Data: "one"},
//			{ID: "2", Type: "tick", Data: "two"},
//		})
//		s.Resume() // drops the connection, and comes back with the last event ID
//		if got, want := s.Next().ID, "3"; got != want {
//			t.Errorf("got ID %q, want %q", got, want)
//		}
//	}
//
// No wait lasts for ever: after 10 s without what was waited for, the test fails.
//
// The package adaptertest, below this one, is for authors of adapters.
package ssetest
