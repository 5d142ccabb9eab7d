package frontends_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
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

// mcpCall answers a request: with a stream of progress and a result if it calls the tool, which pauses.
func mcpCall(ctx context.Context, req rpc, pause func(context.Context)) core.Stream {
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
				params, err := json.Marshal(object{"progressToken": params.Meta.ProgressToken, "progress": n + 1})
				if !yield(rpc{Version: "2.0", Method: "notifications/progress", Params: params}, err) || err != nil {
					return
				}
				pause(ctx)
			}
			yield(rpc{Version: "2.0", ID: req.ID, Result: object{"content": []object{{"type": "text", "text": "done"}}}}, nil)
		})
	}
	return core.EncodeJSON("", func(yield func(rpc, error) bool) {
		yield(rpc{Version: "2.0", ID: req.ID, Error: object{"code": -32601, "message": "no such method"}}, nil)
	})
}

// A proxy forwards connections.
type proxy struct {
	url string

	mu     sync.Mutex
	conns  []net.Conn    // of the clients
	passed bytes.Buffer  // what servers have sent
	more   chan struct{} // closed when more has passed
}

// newProxy returns a proxy of the server at an address.
func newProxy(t *testing.T, addr string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	p := &proxy{url: "http://" + ln.Addr().String(), more: make(chan struct{})}
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
			p.mu.Lock()
			p.conns = append(p.conns, client)
			p.mu.Unlock()
			go func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			}()
			go p.back(client, server)
		}
	}()
	return p
}

// back forwards what the server sends.
func (p *proxy) back(client, server net.Conn) {
	defer func() { _, _ = client.Close(), server.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if _, err2 := client.Write(buf[:n]); err != nil || err2 != nil {
			return
		}
		p.mu.Lock()
		p.passed.Write(buf[:n])
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

// count returns how often a text has passed, and a channel that is closed when more has.
func (p *proxy) count(text string) (n int, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Count(p.passed.Bytes(), []byte(text)), p.more
}

// wait waits until a text has passed n times.
func (p *proxy) wait(ctx context.Context, text string, n int) {
	for ctx.Err() == nil {
		got, more := p.count(text)
		if got >= n {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}

// cut closes all connections, as a proxy does with those that are silent for too long.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// A tool may be silent for as long as it likes if heartbeats keep proxies from cutting its
// stream. The client does not notice the cut: it waits until its own time is over.
func testMCP(t *testing.T, dir string) {
	t.Helper()
	var asked []result
	kinds := map[string]string{} // by the proxy's URL
	for kind, opts := range map[string][]core.Option{
		"heartbeats":           {core.WithHeartbeat(10 * time.Millisecond)},
		"heartbeats, detached": {core.WithHeartbeat(10 * time.Millisecond), core.WithDetach()},
		"silence":              {core.WithHeartbeat(0)},
	} {
		var p *proxy
		pause := func(ctx context.Context) {
			if kind == "silence" {
				p.wait(ctx, "notifications/progress", 1)
				p.cut()
				<-ctx.Done()
				return
			}
			n, _ := p.count(": heartbeat")
			p.wait(ctx, ": heartbeat", n+3)
		}
		view := mcp(func(ctx context.Context, req rpc) core.Stream { return mcpCall(ctx, req, pause) })
		mux := http.NewServeMux()
		mux.Handle("/mcp", nethttpsse.Handler(view, opts...))
		p = newProxy(t, strings.TrimPrefix(hosttest.Serve(t, mux), "http://"))
		kinds[p.url] = kind
		r := result{Client: "mcp", Base: p.url, Timeout: patience.Milliseconds()}
		if kind == "silence" {
			r.Timeout = 2000
		}
		asked = append(asked, r)
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
