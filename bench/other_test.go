//go:build !linux

package main

import "testing"

func TestUnsupported(t *testing.T) {
	t.Skip("the measurements read /proc and sockets as Linux has them")
}
