//go:build !race

package hub_test

// raceEnabled says that memory and allocations are not what they are elsewhere.
const raceEnabled = false
