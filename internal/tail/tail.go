// Package tail is for readers of event streams that must know whether the last event was whole.
package tail

import "io"

// A Reader is a reader of an event stream. core's parser, which discards an event that has not
// ended, sets Cut at the end if there was one.
type Reader struct {
	io.Reader

	Cut bool
}
