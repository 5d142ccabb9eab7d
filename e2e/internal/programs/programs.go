// Package programs has helpers for tests that run other programs.
package programs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Transcript is what a program has written so far.
type Transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed when there is more
}

func (o *Transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.text.Write(p)
}

func (o *Transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Wait waits until accept returns true for the text, for at most d. It reports whether
// accept did.
func (o *Transcript) Wait(d time.Duration, accept func(said string) bool) bool {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for {
		o.mu.Lock()
		if o.more == nil {
			o.more = make(chan struct{})
		}
		said, more := o.text.String(), o.more
		o.mu.Unlock()
		if accept(said) {
			return true
		}
		select {
		case <-more:
		case <-timeout.C:
			return false
		}
	}
}

// Build builds the program in the folder source, and returns its path, which is in dir.
func Build(source, dir string) (path string, err error) {
	path = filepath.Join(dir, filepath.Base(source))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, ".") //nolint:gosec // into the test's folder
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build in %s: %w\n%s", source, err, out)
	}
	return path, nil
}

// Serve runs a server until the end of the test. It returns when the server listens at addr.
// If the server ends before, or does not listen within 10 s, Serve returns its output.
func Serve(t testing.TB, cmd *exec.Cmd, addr string) (said string) {
	t.Helper()
	var output Transcript
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s: output: %s", cmd, output.String())
		}
	})
	for range 3000 { // a minute
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return ""
		}
		select {
		case <-ended:
			return output.String() + " (the process has ended)"
		case <-time.After(20 * time.Millisecond):
		}
	}
	return output.String() + " (it does not listen at " + addr + ")"
}

// WriteCertificate writes a certificate for 127.0.0.1 into dir: example.key has its
// key, and example.pem has both.
func WriteCertificate(t testing.TB, dir string) *x509.Certificate {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	pair := srv.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	for name, text := range map[string][]byte{"example.key": key, "example.pem": append(cert, key...)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return srv.Certificate()
}

// Client returns a client that trusts a certificate and uses these protocols.
func Client(t testing.TB, cert *x509.Certificate, protocols ...string) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Protocols:       new(http.Protocols),
		TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12},
	}
	transport.TLSClientConfig.RootCAs.AddCert(cert)
	transport.Protocols.SetHTTP1(slices.Contains(protocols, "HTTP/1.1"))
	transport.Protocols.SetHTTP2(slices.Contains(protocols, "HTTP/2"))
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
