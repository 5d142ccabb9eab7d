package main

import (
	"encoding/json"
	"iter"

	"github.com/yieldsse/yieldsse/core"
)

// object is a JSON object.
type object = map[string]any

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
