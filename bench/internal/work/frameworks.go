//go:build linux

package work

import (
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

// frameworks returns works that compare this project's adapters with each other. Each is a
// column of one table.
func frameworks(s size) []Work {
	events, gathered, conns, clients := s.of(20_000, 2_000), s.of(200_000, 10_000), s.of(5_000, 500), s.of(200, 50)
	return []Work{
		{
			Name:    "frameworks-stream",
			Title:   "One stream at full speed, on each framework",
			About:   "Events of 200 bytes over one connection, each with its own flush.",
			Base:    baseFramework,
			Sides:   adapters(plain, server.Each),
			Metrics: append(perUnit("an event"), report.Metric{Key: "writes", Name: "write calls"}),
			Rounds:  15,
			Cost:    12 * time.Second,
			column:  "an event, flushed",
			place:   together,
			open:    openStream(events),
		},
		{
			Name:    "frameworks-window",
			Title:   "One stream at full speed with the default flush window, on each framework",
			About:   "The same, but events of the same millisecond share a flush.",
			Base:    baseFramework,
			Sides:   adapters(plain, server.Gathered),
			Metrics: append(perUnit("an event"), report.Metric{Key: "writes", Name: "write calls"}),
			Rounds:  15,
			Cost:    12 * time.Second,
			column:  "an event, default window",
			place:   together,
			open:    openStream(gathered),
		},
		{
			Name:    "frameworks-idle",
			Title:   "An idle detached connection, on each framework",
			About:   fmt.Sprintf("What each of %s open connections adds to the server's resident memory.", report.Thousands(conns)),
			Base:    baseFramework,
			Sides:   adapters(detached, nil),
			Metrics: perConnection,
			Rounds:  5,
			Cost:    60 * time.Second,
			column:  "an idle detached connection",
			cold:    true,
			open:    openHeld(conns, holdPlain),
		},
		{
			Name:    "frameworks-connect",
			Title:   "A client that comes and goes, on each framework",
			About:   "The client connects, reads the head of the response and leaves at once.",
			Base:    baseFramework,
			Sides:   adapters(plain, nil),
			Metrics: perUnit("a client"),
			Rounds:  51, // other programs disturb it most
			Cost:    50 * time.Second,
			column:  "connecting and leaving",
			place:   together,
			open: func(s Side) (runner, error) {
				p, err := process.Start(s.server)
				return &churnRunner{p, s.target, clients}, err
			},
		},
	}
}

const baseFramework = "net/http"

// Indexes of the servers of an adapter.
const (
	plain = iota
	detached
)

// adapters returns a side for each adapter. A nil ask means an idle stream.
func adapters(kind int, ask func(int) string) []Side {
	// An adapter must stay within this of the one for the framework's previous version.
	const most = 1.05
	var sides []Side
	for _, a := range []struct {
		name, elder string
		servers     [2]string
	}{
		{baseFramework, "", [...]string{server.NetHTTPSSE, server.Detached}},
		{"gin", "", [...]string{server.GinSSE, server.GinDetached}},
		{"echo v4", "", [...]string{server.EchoSSE, server.EchoDetached}},
		{"echo v5", "echo v4", [...]string{server.Echo5SSE, server.Echo5Detached}},
		{"fiber v2", "", [...]string{server.FiberSSE, server.FiberDetached}},
		{"fiber v3", "fiber v2", [...]string{server.Fiber3SSE, server.Fiber3Detached}},
	} {
		s := Side{Name: a.name, Ours: true, elder: a.elder, server: a.servers[kind], target: server.Idle, ask: ask}
		if a.elder != "" {
			s.Most = most
		}
		sides = append(sides, s)
	}
	return sides
}
