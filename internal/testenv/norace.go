//go:build !race

package testenv

// Race says that the race detector runs: sync.Pool drops items at random, so memory and
// allocations cannot be measured.
const Race = false
