//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: it needs Linux: /proc, epoll and sockets as Linux has them")
	os.Exit(1)
}
