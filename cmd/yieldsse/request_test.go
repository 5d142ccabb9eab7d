package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
)

func TestRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from\na file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := serve(t, func(r *http.Request) core.Stream {
		body, _ := io.ReadAll(r.Body)
		host := r.Host
		if strings.HasPrefix(host, "127.0.0.1:") {
			host = "-"
		}
		text := fmt.Sprintf("%s %s %q %q %q", r.Method, host, r.Header.Get("Content-Type"), r.Header["X-A"], body)
		return events(core.Event{Data: text})(r)
	})
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"plain", nil, `GET - "" [] ""`},
		{"headers", []string{"-H", "x-a: 1: 2", "--header", "X-A:3"}, `GET - "" ["1: 2" "3"] ""`},
		{"an empty header", []string{"-H", "X-A:"}, `GET - "" [""] ""`},
		{"the host", []string{"-H", "host: example.com"}, `GET example.com "" [] ""`},
		{"a method", []string{"-X", "PUT"}, `PUT - "" [] ""`},
		{"a form", []string{"-d", "a=b"}, `POST - "application/x-www-form-urlencoded" [] "a=b"`},
		{"JSON", []string{"-data", `{"a":1}`}, `POST - "application/json" [] "{\"a\":1}"`},
		{"a type", []string{"-d", "{}", "-H", "content-type: text/plain"}, `POST - "text/plain" [] "{}"`},
		{"a method with a body", []string{"-d", "a", "-request", "PATCH"}, `PATCH - "application/x-www-form-urlencoded" [] "a"`},
		{"an empty body", []string{"-d", ""}, `POST - "application/x-www-form-urlencoded" [] ""`},
		{"a file", []string{"-d", "@" + file}, `POST - "application/x-www-form-urlencoded" [] "from\na file\n"`},
		{"stdin", []string{"-d", "@-"}, `POST - "application/x-www-form-urlencoded" [] "from stdin"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, _, status := try(t, append([]string{"tail", "-n", "1", url}, c.args...)...)
			equal(t, "stdout", stdout, "+1.000s  message\n  "+c.want+"\n")
			equal(t, "status", status, statusOK)
		})
	}
}

func TestCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: a\n\n")
	}))
	defer s.Close()
	s.Config.ErrorLog = discard

	_, stderr, status := try(t, "tail", s.URL)
	if !strings.HasPrefix(stderr, "yieldsse: the server's certificate is not trusted: ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr: got %q", stderr)
	}
	equal(t, "status", status, statusFailure)

	stdout, _, status := try(t, "tail", "-k", "-n", "1", s.URL)
	equal(t, "stdout with -k", stdout, "+1.000s  message\n  a\n")
	equal(t, "status with -k", status, statusOK)
}
