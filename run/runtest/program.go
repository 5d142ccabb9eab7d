package runtest

import (
	"testing"
	"time"
)

// Program runs a random program.
func Program(t testing.TB, seed uint64, s Server, tick time.Duration) {}
