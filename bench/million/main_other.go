//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "million: this program runs only on Linux: it needs /proc, epoll and Linux's socket options")
	os.Exit(1)
}
