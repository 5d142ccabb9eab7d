//go:build !linux

package bench_test

import "testing"

func TestUnsupported(t *testing.T) {
	t.Skip("the benchmarks read /proc and sockets as Linux has them")
}
