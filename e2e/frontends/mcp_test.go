package frontends_test

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
)

// A rpc is a message of JSON-RPC.
type rpc struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"` // of a request and its response
	Method  string          `json:"method,omitempty"`
	Params  object          `json:"params,omitempty"`
	Result  any             `json:"result,omitempty"`
	Error   any             `json:"error,omitempty"`
}

// mcpAnswer answers a request. A call of the tool streams its progress, if the client wants
// that, and then the result. The steps say how much is done, in percent.
func mcpAnswer(req rpc, steps iter.Seq2[int, error]) core.Stream {
	return core.EncodeJSON("", func(yield func(rpc, error) bool) {
		reply := func(result object) {
			result["resultType"] = "complete" // since revision 2026-07-28
			yield(rpc{Version: "2.0", ID: req.ID, Result: result}, nil)
		}
		switch req.Method {
		case "server/discover": // since revision 2026-07-28
			reply(object{
				"supportedVersions": []string{"2026-07-28"}, "capabilities": object{"tools": object{}},
				"ttlMs": 0, "cacheScope": "public",
			})
		case "initialize": // before
			reply(object{
				"protocolVersion": "2025-11-25", "capabilities": object{"tools": object{}},
				"serverInfo": object{"name": "reports", "version": "1"},
			})
		case "ping":
			reply(object{})
		case "tools/list":
			reply(object{
				"tools": []object{{"name": "report", "description": "Writes a report.", "inputSchema": object{"type": "object"}}},
				"ttlMs": 0, "cacheScope": "public",
			})
		case "tools/call":
			meta, _ := req.Params["_meta"].(object)
			token := meta["progressToken"]
			text, failed := "The report is ready.", false
			for done, err := range steps {
				if failed = err != nil; failed {
					text = "The report has failed." // a client that waits would not notice a break
					break
				}
				progress := object{"progressToken": token, "progress": done, "total": 100}
				if token != nil && !yield(rpc{Version: "2.0", Method: "notifications/progress", Params: progress}, nil) {
					return
				}
			}
			reply(object{"content": []object{{"type": "text", "text": text}}, "isError": failed})
		default:
			yield(rpc{Version: "2.0", ID: req.ID, Error: object{"code": -32601, "message": "no such method"}}, nil)
		}
	})
}

// maxSilence is how long the proxy lets a connection be silent.
const maxSilence = 2 * time.Second

// newProxy returns the URL of a proxy of the server at an address. It closes connections on
// which nothing has passed for too long.
func newProxy(t *testing.T, addr string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				_ = client.Close()
				continue
			}
			end := func() { _, _ = client.Close(), server.Close() }
			silence := time.AfterFunc(maxSilence, end)
			forward := func(to, from net.Conn) {
				defer end()
				_, _ = io.Copy(to, noted{from, func() { silence.Reset(maxSilence) }})
			}
			go forward(server, client)
			go forward(client, server)
		}
	}()
	return "http://" + ln.Addr().String()
}

// A noted reader calls a function for all that is read from it.
type noted struct {
	io.Reader
	note func()
}

func (n noted) Read(p []byte) (int, error) {
	size, err := n.Reader.Read(p)
	if size > 0 {
		n.note()
	}
	return size, err
}

// outlast returns when a proxy has cut a connection that was silent from now on.
func outlast(ctx context.Context, proxy string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, proxy+"/silence", http.NoBody)
	if err != nil {
		return err
	}
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // its error is the cut
	return context.Cause(ctx)
}

// mcpViews returns the endpoints of MCP servers, whose tool pauses before it ends.
func mcpViews(pause func(context.Context) error) []hosts.View {
	const heartbeat = 10 * time.Millisecond
	views := []hosts.View{{
		Method: http.MethodGet, Path: "/silence", Options: []core.Option{core.WithHeartbeat(0)},
		Stream: func(ctx context.Context, _ string) core.Stream {
			return func(func(core.Event, error) bool) { <-ctx.Done() }
		},
	}}
	for _, server := range []struct {
		path      string
		heartbeat time.Duration
		err       error
	}{
		{"/heartbeats/mcp", heartbeat, nil},
		{"/silent/mcp", 0, nil},
		{"/failing/mcp", heartbeat, errOut},
	} {
		answer := func(ctx context.Context, body string) core.Stream {
			var req rpc
			if err := json.Unmarshal([]byte(body), &req); err != nil {
				core.Refuse(ctx, err)
			}
			if req.ID == nil { // a notification
				return nil
			}
			return mcpAnswer(req, func(yield func(int, error) bool) {
				if !yield(50, nil) {
					return
				}
				if server.err != nil {
					yield(0, server.err)
					return
				}
				if !yield(100, nil) {
					return
				}
				if err := pause(ctx); err != nil {
					yield(0, err)
				}
			})
		}
		opts := []core.Option{core.WithHeartbeat(server.heartbeat)}
		views = append(views,
			hosts.View{Method: http.MethodPost, Path: server.path, Stream: answer, Empty: http.StatusAccepted, Options: opts},
			hosts.View{
				Method: http.MethodGet, Path: server.path, Empty: http.StatusMethodNotAllowed,
				Stream: func(context.Context, string) core.Stream { return nil },
			})
	}
	return views
}

// mcpRevisions has the revision of the protocol that a client agrees on, by its mode.
var mcpRevisions = map[string]string{"legacy": "2025-11-25", "auto": "2026-07-28"}

// A tool may be silent for as long as it likes if heartbeats keep proxies from cutting its
// stream. The client does not notice the cut: it waits until its own time is over.
func testMCP(t *testing.T, dir string) {
	t.Helper()
	var asked []result
	names := map[string]string{} // by the proxy's URL
	for _, framework := range hosts.Frameworks() {
		for mode, opts := range map[string][]core.Option{"plain": nil, "detached": {core.WithDetach()}} {
			var proxy string
			pause := func(ctx context.Context) error {
				// What the tool has said last may pass the proxy after the first of them has begun.
				return cmp.Or(outlast(ctx, proxy), outlast(ctx, proxy))
			}
			base := hosts.ServeViews(t, framework, mcpViews(pause), opts...)
			proxy = newProxy(t, strings.TrimPrefix(base, "http://"))
			names[proxy] = framework + ", " + mode
			for client := range mcpRevisions {
				asked = append(asked,
					result{Client: client, Base: proxy + "/heartbeats", Timeout: (patience / 2).Milliseconds()},
					result{Client: client, Base: proxy + "/silent", Timeout: (4 * maxSilence).Milliseconds()},
					result{Client: client, Base: proxy + "/failing", Timeout: (patience / 2).Milliseconds()})
			}
		}
	}
	results := askNode(t, dir, "mcp.js", asked)
	if got, want := len(results), len(asked); got != want {
		t.Errorf("got %d results, want %d", got, want)
	}
	for _, got := range results {
		at := strings.LastIndexByte(got.Base, '/')
		kind := got.Base[at+1:]
		want := map[string]string{"heartbeats": "50 100, then The report is ready.", "failing": "50, then failed: The report has failed."}[kind]
		timedOut := strings.Contains(got.Error, "Request timed out")
		if got.Text != want || timedOut != (kind == "silent") || !timedOut && got.Error != "" {
			t.Errorf("%s, %s, %s: got %q and the error %q, want %q, and a time-out only in silence",
				kind, names[got.Base[:at]], got.Client, got.Text, got.Error, want)
		}
		if want := mcpRevisions[got.Client]; got.Revision != want {
			t.Errorf("%s, %s: got revision %q, want %s", names[got.Base[:at]], got.Client, got.Revision, want)
		}
	}
}
