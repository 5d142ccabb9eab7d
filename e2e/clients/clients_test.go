package clients_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A client is a program that others wrote, with a few lines around it.
type client struct {
	name    string
	start   func(t *testing.T, a ask) *process
	speaks  string // its protocol, if its arguments choose one
	plain   bool   // does not accept compressed responses
	resumes bool   // reconnects and resumes
	posts   bool   // can send a body
	killed  bool   // leaves only when its process ends
	atCut   string // what it reports when the response breaks off
	onFiber string // what it reports then on fiber; empty if fiber does not support its protocol
}

// clients returns all of them, ready to start. scripts is the folder of those that are scripts.
func clients(scripts string) []client {
	node := func(args ...string) func(*testing.T, ask) *process {
		return func(t *testing.T, a ask) *process {
			t.Helper()
			cmd := exec.Command(testenv.Program(t, "node"), append(args, a.String())...)
			cmd.Dir = scripts
			return start(t, cmd, readJSON)
		}
	}
	python := func(args ...string) func(*testing.T, ask) *process {
		return func(t *testing.T, a ask) *process {
			t.Helper()
			cmd := exec.Command(withRequests(t), append(append([]string{"lines.py"}, args...), a.String())...)
			cmd.Dir = scripts
			return start(t, cmd, readJSON)
		}
	}
	curls := func(broken int, args ...string) func(*testing.T, ask) *process {
		return func(t *testing.T, a ask) *process {
			t.Helper()
			return curl(t, a, broken, args...)
		}
	}
	return []client{
		{name: "eventsource", start: node("eventsource.js"), resumes: true, atCut: "again", onFiber: "again"},
		{name: "node", start: withEventSource(node("--experimental-eventsource", "node.js")), resumes: true, atCut: "again", onFiber: "again"},
		{name: "fetch-event-source", start: node("fetch-event-source.js"), resumes: true, posts: true, atCut: "again", onFiber: "again"},

		// Node's fetch mistakes every end for a clean one after Connection: close, which
		// fiber sends.
		{name: "eventsource-parser", start: node("eventsource-parser.js"), posts: true, atCut: "broken", onFiber: "end"},

		{name: "requests by bytes", start: python("requests", "1"), posts: true, atCut: "broken", onFiber: "broken"},
		{name: "requests by chunks", start: python("requests", "0"), posts: true, atCut: "broken", onFiber: "broken"},

		// Python's readline mistakes every end for a clean one.
		{name: "urllib by lines", start: python("urllib", "0"), plain: true, posts: true, atCut: "end", onFiber: "end"},

		// The numbers are curl's exit codes for a broken response: on HTTP/1.0, where it is
		// a reset, on HTTP/1.1 and on HTTP/2.
		{name: "curl, HTTP 1.0", start: curls(56, "--http1.0"), plain: true, speaks: "HTTP/1.0", posts: true, killed: true, atCut: "broken", onFiber: "broken"},
		{name: "curl, HTTP 1.1", start: curls(18, "--http1.1"), plain: true, speaks: "HTTP/1.1", posts: true, killed: true, atCut: "broken", onFiber: "broken"},
		{name: "curl, compressed", start: curls(18, "--http1.1", "--compressed"), speaks: "HTTP/1.1", posts: true, killed: true, atCut: "broken", onFiber: "broken"},
		{name: "curl, HTTP 2", start: curls(92, "--http2-prior-knowledge"), plain: true, speaks: "HTTP/2.0", posts: true, killed: true, atCut: "broken"},
	}
}

// hasEventSource reports whether node has an EventSource.
var hasEventSource = sync.OnceValue(func() bool {
	for _, path := range testenv.Find("node") {
		return exec.Command(path, "--experimental-eventsource", "--eval", "new EventSource('data:,').close()").Run() == nil
	}
	return false
})

// withEventSource starts a client if node has an EventSource, and skips t if not.
func withEventSource(start func(*testing.T, ask) *process) func(*testing.T, ask) *process {
	return func(t *testing.T, a ask) *process {
		t.Helper()
		testenv.Program(t, "node")
		if !hasEventSource() {
			testenv.Skip(t, "this node has no EventSource: install one of 20.18 or later")
		}
		return start(t, a)
	}
}

// pythonWithRequests is the path of a Python that has requests, or empty.
var pythonWithRequests = sync.OnceValue(func() string {
	for _, path := range testenv.Find("python3") {
		if exec.Command(path, "-c", "import requests").Run() == nil {
			return path
		}
	}
	return ""
})

// withRequests returns a Python that has requests.
func withRequests(t *testing.T) string {
	t.Helper()
	if pythonWithRequests() == "" {
		testenv.Skip(t, "no Python with requests: install python3-requests to run this test")
	}
	return pythonWithRequests()
}

// Other programs read the streams of each framework correctly. A client reads those of gin or
// of echo, which both write as net/http does.
func TestClients(t *testing.T) {
	scripts := testenv.NPM(t, os.DirFS("testdata"))
	t.Run("frames", func(t *testing.T) { // see TestFrames
		t.Parallel()
		checkScript(t, scripts, testenv.Program(t, "node"), "forms.js")
	})
	all := clients(scripts)
	for _, framework := range hosts.Newest() {
		for i, c := range all {
			if framework == [...]string{"gin", "echo v5"}[i%2] {
				continue
			}
			if !hosts.HTTP2(framework) {
				if c.atCut = c.onFiber; c.atCut == "" {
					continue
				}
			}
			t.Run(c.name+"/"+framework, func(t *testing.T) {
				t.Parallel()
				t.Run("reads", func(t *testing.T) { c.reads(t, hosts.Serve(t, framework)) })
				if !c.plain && (framework == "net/http" || !hosts.HTTP2(framework)) { // the others write as net/http does
					t.Run("reads, compressed", func(t *testing.T) { c.reads(t, hosts.Serve(t, framework, core.WithCompression())) })
				}
				t.Run("leaves", func(t *testing.T) { c.leaves(t, hosts.Serve(t, framework, core.WithHeartbeat(0))) })
				if c.posts {
					t.Run("posts", func(t *testing.T) { c.sends(t, hosts.Serve(t, framework)) })
				}
			})
		}
	}
}

// reads: all events arrive, in order. The first arrives before the second is made,
// heartbeats are not events, and nothing is lost or repeated when the stream breaks off
// or ends. A 204 stops the client.
func (c client) reads(t *testing.T, srv *hosts.Server) {
	all := hosts.Events()
	ask := ask{URL: srv.URL + "/events"}

	p := c.start(t, ask)
	p.wants(says("open", all[0]))
	arrival := srv.Arrived("/events")
	if got := arrival.Proto; c.speaks != "" && got != c.speaks {
		t.Errorf("got a request in %s, want %s", got, c.speaks)
	}
	if got := arrival.Encodings; strings.Contains(got, "gzip") == c.plain {
		t.Errorf("got a request that accepts %q, want gzip only if the client is tested with it", got)
	}
	srv.GoOn("/events")
	p.wants(says(all[1:hosts.Cut]))
	srv.GoOn("/events")
	p.wants(says(c.atCut))
	if !c.resumes {
		p.ends()
		ask.LastEventID = all[hosts.Cut-1].ID
		p = c.start(t, ask)
	}
	p.wants(says("open", all[hosts.Cut:]))
	if c.resumes {
		p.wants(says("again"))
	} else {
		p.wants(says("end"))
		p.ends()
		ask.LastEventID = all[len(all)-1].ID
		p = c.start(t, ask)
	}
	p.wants(says("stopped"))
	p.ends()

	if end := srv.Ended("/events"); end.Err == nil || end.Cause != nil || end.Events != hosts.Cut {
		t.Errorf("got %+v for the first connection, want %d events and a failure", end, hosts.Cut)
	}
	if end, want := srv.Ended("/events"), len(all)-hosts.Cut; end.Err != nil || end.Cause != nil || end.Events != want {
		t.Errorf("got %+v for the second connection, want %d events and no failure", end, want)
	}
}

// leaves: a generator that sends nothing, not even heartbeats, ends when the client
// leaves.
func (c client) leaves(t *testing.T, srv *hosts.Server) {
	p := c.start(t, ask{URL: srv.URL + "/idle", Leave: 1})
	p.wants(says("open", core.Event{ID: "1", Data: "before"}))
	if c.killed {
		_ = p.cmd.Process.Kill()
	} else {
		p.wants(says("left"))
	}
	if end := srv.Ended("/idle"); !errors.Is(end.Cause, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", end.Cause, core.ErrClientGone)
	}
	if !c.killed {
		p.ends()
	}
}

// sends: a POST is answered with a stream, and the spaces of its body survive.
func (c client) sends(t *testing.T, srv *hosts.Server) {
	const text = "Say  it: h\u00e9llo,  \u4e16\u754c!"
	p := c.start(t, ask{URL: srv.URL + "/tokens", Body: text})
	p.wants(says("open", hosts.Tokens(text), "end"))
	p.ends()
}
