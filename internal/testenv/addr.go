package testenv

import "testing"

// Addr returns an address of the loopback interface at which a server can listen, be
// killed, and listen again. Nobody else is given its port before the end of the test:
// whoever asks for any free port could otherwise have it while the server is down.
// Then the server cannot come back, and its clients reach a stranger.
func Addr(t testing.TB) string {
	t.Helper()
	addr, release, err := hold()
	if err != nil {
		t.Fatalf("testenv: hold a port: %v", err)
	}
	t.Cleanup(release)
	return addr
}
