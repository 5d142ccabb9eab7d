// Package otelsse reports sessions, hubs and runs to OpenTelemetry: as metrics, and each
// stream as a span if you like. It is a module of its own, so that only its users need
// OpenTelemetry.
//
//	r.GET("/prices", ginsse.Handler(prices, otelsse.Sessions(otelsse.WithRoute("/prices"))))
//	otelsse.Hub(h)
//	otelsse.Runner(runs)
//
// docs/observing.md has all metrics, their units and attributes. An event costs nothing but
// its part of a write, and a write a few atomic additions.
package otelsse
