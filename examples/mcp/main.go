// An MCP server over Streamable HTTP, with a tool that tells its progress, and a page that
// calls it with the package @modelcontextprotocol/client.
//
//	go run ./examples/mcp
package main

import (
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

//go:embed index.html page.js style.css
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	fmt.Printf("Open http://%s, or give http://%[1]s/mcp to an MCP client.\n", *addr) //nolint:forbidigo // for the user
	log.Fatal(http.ListenAndServe(*addr, handler(report)))
}

func handler(t tool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(page))
	mux.Handle("/mcp", nethttpsse.Handler(mcp(t)))
	return local(http.NewCrossOriginProtection().Handler(mux)) // other sites' pages may not call tools
}

// local refuses requests for other hosts than this machine. A page can give a name of its own this
// machine's address, and then it is not another site's (DNS rebinding). A server with a name
// checks for that name.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "the host is not this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mcp is the endpoint of an MCP server, over Streamable HTTP without sessions.
func mcp(t tool) nethttpsse.View {
	return func(w http.ResponseWriter, r *http.Request) core.Stream {
		if r.Method != http.MethodPost { // GET would be a stream of the server's own messages
			http.Error(w, "only POST", http.StatusMethodNotAllowed)
			return nil
		}
		var req rpc
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return nil
		}
		if req.ID == nil { // a notification
			w.WriteHeader(http.StatusAccepted)
			return nil
		}
		return mcpAnswer(req, t(r.Context()))
	}
}
