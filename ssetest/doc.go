// Package ssetest helps to test event streams. It opens a stream as a client would, on a
// real server. If something does not arrive, the failure shows what did.
//
//	func TestTicks(t *testing.T) {
//		ssetest.NoLeaks(t)
//		s := ssetest.Open(t, ssetest.Serve(t, handler)+"/ticks")
//		ssetest.Equal(t, s.Collect(2), []core.Event{
//			{ID: "1", Type: "tick", Data: "one"},
//			{ID: "2", Type: "tick", Data: "two"},
//		})
//		s.Resume() // drops the connection, and reconnects with the last event ID
//		if got, want := s.Next().ID, "3"; got != want {
//			t.Errorf("got ID %q, want %q", got, want)
//		}
//	}
//
// Every wait is bounded: the test fails if it takes longer than 30 s.
//
// The package ssetest/adaptertest is for authors of adapters.
package ssetest
