//go:build race

package core_test

// raceEnabled says that sync.Pool drops items at random.
const raceEnabled = true
