package hosttest

import (
	"crypto/tls"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
)

// TLS returns the configuration of a server of HTTP/1.1 over TLS, with a certificate that
// no client trusts.
func TLS() *tls.Config { return serverTLS().Clone() }

var serverTLS = sync.OnceValue(func() *tls.Config {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close() // only its certificate is used
	return srv.TLS.Clone()
})

// Files returns how many files this process has open, or 0 where that is not known.
func Files(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names)
}
