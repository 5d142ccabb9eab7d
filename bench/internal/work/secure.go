//go:build linux

package work

import (
	"fmt"
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

// secure returns the fan-outs under TLS: over HTTP/1.1, HTTP/2 and HTTP/3.
func secure(s size) []Work {
	const subscribers, rate = 300, 20_000
	var all []Work
	for _, protocol := range []struct {
		title    string
		protocol server.Protocol
	}{{"TLS", server.TLS}, {"HTTP/2", server.HTTP2}, {"HTTP/3", server.HTTP3}} {
		over := protocol.protocol.Over
		sides := []Side{
			{Name: "tutorial hub", server: over(server.Tutorial)},
			{Name: "tmaxmax/go-sse", server: over(server.Tmaxmax)},
		}
		if protocol.protocol != server.HTTP3 { // r3labs/sse sends a header that HTTP/3 forbids
			sides = append(sides, Side{Name: "r3labs/sse", server: over(server.R3labs)})
		}
		sides = append(sides, Side{Name: "yieldsse hub", Ours: true, server: over(server.Hub)})
		if protocol.protocol == server.TLS { // only HTTP/1.1 can be detached
			sides = append(sides, Side{Name: "yieldsse hub, detached", Ours: true, server: over(server.HubDetached)})
		}
		fan := func(name, about string, most float64, events, rate int) Work {
			for i := range sides {
				if sides[i].Ours {
					sides[i].Most = most
				}
			}
			return Work{
				Name:    fmt.Sprintf("%s-%s-%d", name, protocol.protocol, subscribers),
				Title:   fmt.Sprintf("Fan-out over %s, %s subscribers", protocol.title, report.Thousands(subscribers)),
				About:   about,
				Base:    "tutorial hub",
				Sides:   slices.Clone(sides),
				Metrics: perDelivery,
				Rounds:  3,
				Cost:    20 * time.Second,
				open:    openAudience(subscribers, events, rate, false),
			}
		}
		events, every := s.of(1_000, 50), time.Second*subscribers/rate
		all = append(all,
			fan("fanout", report.Thousands(events)+" events of 200 bytes, published as fast as possible.", 0.3, events, 0),
			fan("paced", fmt.Sprintf("One event of 200 bytes every %v.", every), 1.1, s.of(66, 16), rate/subscribers),
		)
	}
	return all
}
