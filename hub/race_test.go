//go:build race

package hub_test

// raceEnabled says that memory and allocations cannot be measured.
const raceEnabled = true
