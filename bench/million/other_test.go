//go:build !linux

package main

import "testing"

func TestUnsupported(t *testing.T) {
	t.Skip("the measurement needs Linux: /proc, epoll and its socket options")
}
