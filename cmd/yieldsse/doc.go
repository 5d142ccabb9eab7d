// Yieldsse looks at event streams (Server-Sent Events) from a terminal.
//
//	go install github.com/yieldsse/yieldsse/cmd/yieldsse@latest
//
// Tail shows events as they come, and what happens to the connection; it
// reconnects and resumes as a browser does:
//
//	yieldsse tail https://example.com/prices
//	yieldsse tail -H 'Authorization: Bearer 123' -types add,remove https://example.com/items
//	yieldsse tail -json -n 10 https://example.com/prices | jq .json.price
//
// Check finds what is wrong with a stream, and says how to mend it:
//
//	yieldsse check https://example.com/prices
//
// Bench opens many streams at once and measures them:
//
//	yieldsse bench https://example.com/prices -conns 1000 -for 30s
//
// Each command sends any method, header and body (-X, -H, -d as curl has them),
// and has a --help that tells all. Long flags may have one dash or two.
//
// What a command finds goes to stdout, what happens meanwhile to stderr. The exit
// status is 0 for success, 1 for a failure, 2 for wrong arguments and 130 after
// Ctrl-C, unless the command's help says more. Output that nobody reads any more
// ends a command quietly.
//
// Control characters that a server sends are shown escaped, since they could
// command a terminal. Colours are for terminals, and not where NO_COLOR is set.
package main
