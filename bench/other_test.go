//go:build !linux

package main

import "testing"

func TestUnsupported(t *testing.T) {
	t.Skip("the measurements need Linux: /proc, epoll and its socket options")
}
