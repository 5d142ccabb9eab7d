package hosttest

import (
	"crypto/tls"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
)

// TLS returns what a server needs to speak HTTP/1.1 over TLS, with a certificate that
// nobody trusts.
func TLS() *tls.Config { return serverTLS().Clone() }

var serverTLS = sync.OnceValue(func() *tls.Config {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close() // it has lent its certificate
	return srv.TLS.Clone()
})

// Files returns how many files this process has open, as far as that can be told.
func Files(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names)
}
