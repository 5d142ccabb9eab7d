// Package bench measures what streams cost, as ratios to what a user would write
// by hand on the same host. README.md says how to run it and what it prints.
//
//   - internal/server has the servers, one name each
//   - internal/process runs one of them in a process of its own and reads what it
//     has used
//   - internal/reader is the client: raw sockets that count every event
//   - internal/stats makes medians and ratios of the rounds
package bench
