package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/internal/mediatype"
)

// requestFlags describe the request. All commands have them.
type requestFlags struct {
	stdin io.Reader // what -d @- reads
	flags *pflag.FlagSet

	headers  []string
	method   string
	data     string
	insecure bool
}

func (f *requestFlags) add(fs *pflag.FlagSet) {
	f.flags = fs
	fs.StringArrayVarP(&f.headers, "header", "H", nil, "send a header, `Name: value` (may be repeated)")
	fs.StringVarP(&f.method, "request", "X", "", "the request's `method` (default GET, or POST with -d)")
	fs.StringVarP(&f.data, "data", "d", "", "send a `body`; @name reads it from a file, @- from stdin")
	fs.BoolVarP(&f.insecure, "insecure", "k", false, "accept any TLS certificate")
}

// streamFlags describe how to read a stream.
type streamFlags struct {
	maxEventSize int
	reconnection time.Duration
}

func (f *streamFlags) add(fs *pflag.FlagSet) {
	fs.IntVar(&f.maxEventSize, "max-event-size", 16<<20, "fail at an event of more than this many `bytes`")
	fs.DurationVar(&f.reconnection, "reconnection-time", 3*time.Second,
		"wait at least this long before connecting again, if the stream sets no time")
}

func (f *streamFlags) options() []client.Option {
	return []client.Option{
		client.WithMaxEventSize(f.maxEventSize),
		client.WithBackoff(f.reconnection, 30*time.Second),
	}
}

// request returns the request for address. It reads stdin for -d @-, so it works only
// once.
func (f *requestFlags) request(ctx context.Context, address string) (*http.Request, error) {
	if err := checkURL(address); err != nil {
		return nil, err
	}
	body, err := f.body()
	if err != nil {
		return nil, err
	}
	hasBody := f.flags.Changed("data") // even if the body is empty
	method := f.method
	switch {
	case method != "" && !mediatype.Token(method):
		return nil, usageError("-X %q is not a method: it must be like GET or POST", method)
	case method != "":
	case hasBody:
		method = http.MethodPost
	default:
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, exitError{statusUsage, err}
	}
	req.Header.Set("User-Agent", "yieldsse/"+version())
	if hasBody {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if json.Valid(body) {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	return req, f.setHeaders(req)
}

// checkURL returns an error that says how to correct a URL.
func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return usageError("the URL is empty: it must be like https://example.com/stream")
	case err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return nil
	case !strings.Contains(address, "://"):
		return usageError("the URL %q has no scheme: try http://%s", address, strings.TrimLeft(address, "/"))
	case err != nil:
		return usageError("the URL %q is not valid: %w", address, errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return usageError("the URL %q has the scheme %q: only http and https are supported", address, u.Scheme)
	}
	return usageError("the URL %q has no host", address)
}

func (f *requestFlags) body() ([]byte, error) {
	name, isFile := strings.CutPrefix(f.data, "@")
	switch {
	case !isFile:
		return []byte(f.data), nil
	case name == "-":
		b, err := io.ReadAll(f.stdin)
		if err != nil {
			return nil, fmt.Errorf("-d @-: %w", err)
		}
		return b, nil
	}
	b, err := os.ReadFile(name) //nolint:gosec // the user names it
	if err != nil {
		return nil, usageError("-d @%s: %w", name, err)
	}
	return b, nil
}

func (f *requestFlags) setHeaders(req *http.Request) error {
	seen := http.Header{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		if !ok || !mediatype.Token(name) || strings.ContainsFunc(value, control) {
			return usageError("-H %q is not a header: it must be like \"Name: value\"", h)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		seen.Add(name, value)
	}
	maps.Copy(req.Header, seen)
	return nil
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }

// transport returns the transport for the requests: http.DefaultTransport with the
// setting of -k.
func (f *requestFlags) transport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if shared, ok := http.DefaultTransport.(*http.Transport); ok {
		t = shared.Clone()
	}
	if f.insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // -k asks for it
	}
	return t
}
