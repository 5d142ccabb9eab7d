//go:build !race

package host_test

// raceEnabled says that sync.Pool drops items at random.
const raceEnabled = false
