package core

import "sync"

// buffers are held only while frames wait in them, so that an idle session has
// none.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, Headroom, 1<<10)
	return &b
}}

func getBuffer() *[]byte { return buffers.Get().(*[]byte) } //nolint:forcetypeassert // the pool's only type

func putBuffer(b *[]byte) {
	if cap(*b) <= 2*forwardSize {
		*b = (*b)[:Headroom]
		buffers.Put(b)
	}
}
