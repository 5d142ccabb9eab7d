package hosttest

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"sync"
)

// ServerTLS returns the configuration of a server of HTTP/1.1 and HTTP/2 with httptest's
// certificate, which is for 127.0.0.1 and example.com.
func ServerTLS() *tls.Config { server, _ := certified(); return server.Clone() }

// ClientTLS returns the configuration of a client that trusts this certificate.
func ClientTLS() *tls.Config { _, client := certified(); return client.Clone() }

// certified starts a server only for its certificate.
var certified = sync.OnceValues(func() (server, client *tls.Config) {
	srv := httptest.NewUnstartedServer(nil)
	srv.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	srv.StartTLS()
	defer srv.Close()
	return srv.TLS, srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone() //nolint:forcetypeassert // httptest's
})
