// Yieldsse shows, checks and measures event streams (Server-Sent Events) from a terminal.
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
// Check finds what is wrong with a stream, and says how to fix it:
//
//	yieldsse check https://example.com/prices
//
// Bench opens many streams at once and measures them:
//
//	yieldsse bench https://example.com/prices -conns 1000 -for 30s
//
// Each command sends any method, header and body (-X, -H and -d, as in curl), and --help
// describes all of its flags. Long flags may have one dash or two.
//
// Results go to stdout, and everything else to stderr. The exit status is 0 for success,
// 1 for a failure, 2 for wrong arguments and 130 after Ctrl-C, unless the command's help
// says more. If the reader of stdout goes away, a command ends quietly.
//
// Control characters that a server sends are shown escaped, because they could
// command a terminal. Colours are used on terminals, unless NO_COLOR is set.
package main
