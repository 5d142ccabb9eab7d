package frontends_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A rpc is a message of JSON-RPC.
type rpc struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"` // of a request and its response
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  any             `json:"result,omitempty"`
	Error   any             `json:"error,omitempty"`
}

// mcp is the endpoint of an MCP server, over Streamable HTTP without sessions.
func mcp(call func(ctx context.Context, req rpc) core.Stream) nethttpsse.View {
	return func(w http.ResponseWriter, r *http.Request) core.Stream {
		if r.Method != http.MethodPost { // GET would be a stream of the server's own messages
			http.Error(w, "only POST", http.StatusMethodNotAllowed)
			return nil
		}
		var req rpc
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return nil
		}
		if req.ID == nil { // a notification
			w.WriteHeader(http.StatusAccepted)
			return nil
		}
		return call(r.Context(), req)
	}
}

// mcpCall answers a request: with a stream of progress and a result if it calls the tool.
func mcpCall(ctx context.Context, req rpc, wait time.Duration) core.Stream {
	reply := func(result any) core.Stream {
		return core.EncodeJSON("", func(yield func(rpc, error) bool) {
			yield(rpc{Version: "2.0", ID: req.ID, Result: result}, nil)
		})
	}
	var params struct {
		ProtocolVersion string `json:"protocolVersion"`
		Meta            struct {
			ProgressToken json.RawMessage `json:"progressToken"`
		} `json:"_meta"` //nolint:tagliatelle // the protocol's name
	}
	_ = json.Unmarshal(req.Params, &params) // what is missing stays empty
	switch req.Method {
	case "initialize":
		return reply(object{
			"protocolVersion": params.ProtocolVersion, "capabilities": object{"tools": object{}},
			"serverInfo": object{"name": "test", "version": "1"},
		})
	case "tools/list":
		return reply(object{"tools": []object{{"name": "count", "inputSchema": object{"type": "object"}}}})
	case "tools/call":
		return core.EncodeJSON("", func(yield func(rpc, error) bool) {
			for n := range 2 {
				for range core.Every(ctx, wait) {
					break
				}
				params, err := json.Marshal(object{"progressToken": params.Meta.ProgressToken, "progress": n + 1})
				if !yield(rpc{Version: "2.0", Method: "notifications/progress", Params: params}, err) || err != nil {
					return
				}
			}
			yield(rpc{Version: "2.0", ID: req.ID, Result: object{"content": []object{{"type": "text", "text": "done"}}}}, nil)
		})
	}
	return core.EncodeJSON("", func(yield func(rpc, error) bool) {
		yield(rpc{Version: "2.0", ID: req.ID, Error: object{"code": -32601, "message": "no such method"}}, nil)
	})
}

// idleProxy forwards connections, and cuts one whose server sends nothing for the time, as
// load balancers do.
func idleProxy(t *testing.T, addr string, idle time.Duration) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr)
			if err != nil {
				_ = from.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(to, from)
				_ = to.Close()
			}()
			go func() {
				defer func() { _, _ = from.Close(), to.Close() }()
				buf := make([]byte, 32<<10)
				for {
					_ = to.SetReadDeadline(time.Now().Add(idle))
					n, err := to.Read(buf)
					if _, err2 := from.Write(buf[:n]); err != nil || err2 != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// A tool that is silent for longer than a proxy allows works with heartbeats. Without them,
// the client does not notice the cut: it waits until its own time is over.
func testMCP(t *testing.T, dir string) {
	t.Helper()
	const idle = 1500 * time.Millisecond
	var asked []result
	kinds := map[string]string{} // by the proxy's URL
	for kind, opts := range map[string][]core.Option{
		"heartbeats":           {core.WithHeartbeat(idle / 20)},
		"heartbeats, detached": {core.WithHeartbeat(idle / 20), core.WithDetach()},
		"silence":              {core.WithHeartbeat(0)},
	} {
		view := mcp(func(ctx context.Context, req rpc) core.Stream { return mcpCall(ctx, req, idle*4/3) })
		mux := http.NewServeMux()
		mux.Handle("/mcp", nethttpsse.Handler(view, opts...))
		base := idleProxy(t, strings.TrimPrefix(hosttest.Serve(t, mux), "http://"), idle)
		kinds[base] = kind
		asked = append(asked, result{Client: "mcp", Base: base})
	}
	results := askNode(t, dir, "mcp.js", asked)
	if got, want := len(results), len(asked); got != want {
		t.Errorf("got %d results, want %d", got, want)
	}
	for _, got := range results {
		const want = "1 2, then done"
		if silent := kinds[got.Base] == "silence"; silent != strings.Contains(got.Error, "Request timed out") || !silent && got.Text != want {
			t.Errorf("%s: got %q and %q, want %q only with heartbeats", kinds[got.Base], got.Text, got.Error, want)
		}
	}
}
