package rolling_test

import (
	"errors"
	"net/http"
	"os/exec"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A server whose /ready fails gets no new requests from HAProxy, serves those that come all
// the same, and keeps its streams.
func TestReadiness(t *testing.T) {
	f := &fleet{log: testenv.Redis(t), args: []string{"-notice=1h"}}
	leaving, staying := f.add(t), f.add(t)
	gate := haproxy.with("inter 2s", "inter 100ms").start(t, leaving.addr, staying.addr)
	var open []*ssetest.Stream
	for range 4 {
		open = append(open, ssetest.Request{URL: gate.url + "/stream"}.Open(t))
	}
	had := leaving.streams(t)
	if had == 0 {
		t.Fatal("no stream reached the server that is to leave")
	}
	if err := leaving.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, leaving.addr+" is not ready", func() bool {
		status, _ := get(t, "http://"+leaving.addr+"/ready")
		return status == 503
	})
	elsewhere := 0
	f.eventually(t, "ten requests in a row reach the other server", func() bool {
		if elsewhere++; !gate.reaches(t, staying) {
			elsewhere = 0
		}
		return elsewhere == 10
	})
	if status, _ := get(t, "http://"+leaving.addr+"/stream"); status != 200 {
		t.Errorf("a request before the drain: got status %d, want 200", status)
	}
	if _, err := f.hub(t).Publish(t.Context(), "news", core.Event{Data: "hello"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range open {
		wantTexts(t, s.Collect(1), "hello")
	}
}

// A run that does not finish within the bound is broken off, and the server ends with an error.
func TestRunBeyondBound(t *testing.T) {
	f := &fleet{log: testenv.Redis(t), args: []string{"-notice=0s", "-window=0s", "-bound=500ms"}}
	s := f.add(t)
	answer := ssetest.Request{URL: "http://" + s.addr + "/answers/long", Method: http.MethodPost}.Open(t)
	wantTexts(t, answer.Collect(1), "begin")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if events, err := answer.Rest(); err == nil || len(events) > 0 {
		t.Errorf("got events %v and error %v, want no event and a stream that breaks off", events, err)
	}
	err := s.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("got the server's end %v, want exit status 1", err)
	}
}

// What a server refuses that leaves, the proxy tries at another one, as docs/draining.md
// says, before it has noticed that it leaves.
func TestRefusedElsewhere(t *testing.T) {
	const (
		requests   = 30
		redispatch = "    option redispatch 1\n"
		getOnly    = "    http-request disable-l7-retry if METH_POST\n"
	)
	unaware := []string{"    option httpchk GET /ready\n", ""}          // HAProxy does not ask
	tireless := []string{"max_fails=1 fail_timeout=10s", "max_fails=0"} // nginx does not learn
	const none, some, either = "none", "some", ""
	tests := []struct {
		name      string
		proxy     proxy
		get, post string // how many clients see a 503
	}{
		{"nginx", nginx.with(tireless...), none, some},
		{"nginx learns", nginx, none, either},
		{"nginx POST too", nginx.with(tireless...).with(" http_503;", " http_503 non_idempotent;"), none, none},
		{"nginx plain", nginx.with(tireless...).with(" http_503;", ";"), some, some},
		{"HAProxy", haproxy.with(unaware...), none, none},
		{"HAProxy GET only", haproxy.with(unaware...).with(redispatch, redispatch+getOnly), none, some},
		{"HAProxy same server", haproxy.with(unaware...).with(redispatch, ""), some, either},
		{"HAProxy plain", haproxy.with(unaware...).with("    retry-on conn-failure 503\n", ""), some, some},
	}
	f := &fleet{log: testenv.Redis(t), args: []string{"-notice=0s"}}
	leaving, staying := f.add(t), f.add(t)

	// A run keeps the server.
	answer := ssetest.Request{URL: "http://" + leaving.addr + "/answers/x", Method: http.MethodPost}.Open(t)
	wantTexts(t, answer.Collect(1), "begin")
	if err := leaving.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, leaving.addr+" leaves", func() bool {
		status, _ := get(t, "http://"+leaving.addr+"/stream")
		return status == 503
	})

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gate := tt.proxy.start(t, leaving.addr, staying.addr)
			for _, check := range []struct{ method, path, want string }{
				{http.MethodGet, "/stream", tt.get},
				{http.MethodPost, "/answers/y", tt.post},
			} {
				refused := 0
				for range requests {
					switch status, _ := request(t, check.method, gate.url+check.path); status {
					case 200:
					case 503:
						refused++
					default:
						t.Errorf("%s: got status %d", check.method, status)
					}
				}
				if check.want == none && refused > 0 || check.want == some && refused == 0 {
					t.Errorf("%s: got 503 for %d of %d requests, want it for %s", check.method, refused, requests, check.want)
				}
			}
		})
	}
}
