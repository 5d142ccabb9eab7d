// Package server has the servers that are measured. Each has a name, and is written as
// its own documentation shows. Which of these requests a server answers depends on what
// it can do:
//
//   - [Each] sends events as fast as it can, each with its own flush
//   - [Gathered] does so with the default flush window, if there is one
//   - [Idle] sends one event and waits until the client leaves
//   - [Events] sends what [Publish] publishes
//   - [Encode] and [Parse] make events into bytes and bytes into events
//
// Each event is 200 bytes on the wire, without the chunk around it.
package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// The servers of this project.
const (
	NetHTTPSSE  = "nethttpsse"
	Detached    = "nethttpsse-detached"
	GinSSE      = "ginsse"
	EchoSSE     = "echosse"
	Echo5SSE    = "echo5sse"
	FiberSSE    = "fibersse"
	Fiber3SSE   = "fiber3sse"
	Hub         = "hub"
	HubDetached = "hub-detached"

	GinDetached    = "ginsse-detached"
	EchoDetached   = "echosse-detached"
	Echo5Detached  = "echo5sse-detached"
	FiberDetached  = "fibersse-detached"
	Fiber3Detached = "fiber3sse-detached"

	HubReplay         = "hub-replay" // its log has room for Held events
	HubReplayDetached = "hub-replay-detached"

	HubLogDetached = "hub-log-detached" // on the log that LogEnv names
)

// The servers that are written by hand.
const (
	NetHTTP  = "nethttp"  // fmt.Fprintf and Flush in a handler
	Gin      = "gin"      // c.SSEvent in c.Stream
	Echo     = "echo"     // fmt.Fprintf and Flush on c.Response
	Fiber    = "fiber"    // fmt.Fprintf and Flush in SetBodyStreamWriter
	Tutorial = "tutorial" // a channel for each client, and a loop over all of them
)

// The servers of other libraries.
const (
	Tmaxmax            = "tmaxmax"
	TmaxmaxReplay      = "tmaxmax-replay"
	R3labs             = "r3labs"
	R3labsReplay       = "r3labs-replay"
	LaunchDarkly       = "launchdarkly"
	LaunchDarklyReplay = "launchdarkly-replay"
	Vicenzi            = "alexandrevicenzi"
)

// A Protocol is what a server's streams are sent over.
type Protocol string

// The protocols.
const (
	Plain Protocol = ""      // HTTP/1.1
	TLS   Protocol = "tls"   // HTTP/1.1 over TLS
	HTTP2 Protocol = "http2" // over TLS
	HTTP3 Protocol = "http3" // only the streams; over TCP, the server speaks HTTP/1.1
)

// Over returns the name of the same server with another protocol.
func (p Protocol) Over(name string) string {
	if p == Plain {
		return name
	}
	return name + separator + string(p)
}

const separator = "/"

// Speaks returns the protocol of the server of that name.
func Speaks(name string) Protocol {
	_, p, _ := strings.Cut(name, separator)
	return Protocol(p)
}

// Crowd is not measured: it holds connections to another server.
const Crowd = "crowd"

var servers = map[string]func(net.Listener) error{
	NetHTTPSSE:  serveNetHTTPSSE(nil),
	Detached:    serveNetHTTPSSE(detach),
	GinSSE:      serveGinSSE(nil),
	EchoSSE:     serveEchoSSE(nil),
	Echo5SSE:    serveEcho5SSE(nil),
	FiberSSE:    serveFiberSSE(nil),
	Fiber3SSE:   serveFiber3SSE(nil),
	Hub:         serveHub(nil),
	HubDetached: serveHub(detach),

	GinDetached:    serveGinSSE(detach),
	EchoDetached:   serveEchoSSE(detach),
	Echo5Detached:  serveEcho5SSE(detach),
	FiberDetached:  serveFiberSSE(detach),
	Fiber3Detached: serveFiber3SSE(detach),

	HubReplay:         serveHub(nil, keepAll...),
	HubReplayDetached: serveHub(detach, keepAll...),

	HubLogDetached: serveHubLog,

	NetHTTP:  serveNetHTTP,
	Gin:      serveGin,
	Echo:     serveEcho,
	Fiber:    serveFiber,
	Tutorial: serveTutorial,

	Tmaxmax:            serveTmaxmax(false),
	TmaxmaxReplay:      serveTmaxmax(true),
	R3labs:             serveR3labs(false),
	R3labsReplay:       serveR3labs(true),
	LaunchDarkly:       serveLaunchDarkly(false),
	LaunchDarklyReplay: serveLaunchDarkly(true),
	Vicenzi:            serveVicenzi,

	Crowd: serveCrowd,
}

// Serve runs a server on ln until it fails.
func Serve(name string, ln net.Listener) error {
	plain, _, _ := strings.Cut(name, separator)
	serve, ok := servers[plain]
	if !ok {
		return fmt.Errorf("server: there is no %q", name)
	}
	protocol := Speaks(name)
	if protocol == Plain {
		return serve(ln)
	}
	config, err := selfSigned()
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if protocol == HTTP3 {
		return serve(overQUIC{ln, config})
	}
	if protocol == HTTP2 {
		config.NextProtos = []string{"h2"}
	}
	return serve(tls.NewListener(ln, config))
}

// An overQUIC is a listener whose server also speaks HTTP/3, on the UDP port of the same number.
type overQUIC struct {
	net.Listener

	config *tls.Config
}

// selfSigned makes a certificate of the usual kind.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}, nil
}

// Targets of requests.
const (
	Idle   = "/idle"
	Events = "/events" // from its head on, the response misses no event
	Count  = "/count"  // answers how many clients read Events
)

// Each is the target that sends n events, each with its own flush.
func Each(n int) string { return "/each?n=" + strconv.Itoa(n) }

// Gathered is the target that sends n events with the default flush window.
func Gathered(n int) string { return "/gathered?n=" + strconv.Itoa(n) }

// Ready returns the same target with a generator that makes its IDs beforehand, so that
// it does not allocate.
func Ready(target string) string { return target + "&ready=true" }

// Encode is the target that encodes n events and does not send them.
func Encode(n int) string { return "/encode?n=" + strconv.Itoa(n) }

// Parse is the target that parses n events from memory, and answers how many it found.
func Parse(n int) string { return "/parse?n=" + strconv.Itoa(n) }

// An event has 200 bytes, with an ID of six digits.
const (
	firstID   = 100_000
	eventType = "add"
	format    = "id: %d\nevent: %s\ndata: %s\n\n"
)

var data = strings.Repeat("0123456789", 17)

// number returns n of a query.
func number(query string) int {
	values, _ := url.ParseQuery(query)
	n, _ := strconv.Atoi(values.Get("n"))
	return n
}

// HeartbeatEnv is the environment variable for the time after which a silent connection
// gets a comment.
const HeartbeatEnv = "YIELDSSE_BENCH_HEARTBEAT"

func heartbeat() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(HeartbeatEnv)); err == nil {
		return d
	}
	return 15 * time.Second
}

// beat calls f at each heartbeat, for libraries without heartbeats. It does not return.
func beat(f func()) {
	for range time.Tick(heartbeat()) {
		f()
	}
}

// serve runs h as any program would, but discards what it logs about clients that have
// left.
func serve(ln net.Listener, h http.Handler) error {
	if q, ok := ln.(overQUIC); ok {
		udp, err := net.ListenPacket("udp", ln.Addr().String())
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		h3 := &http3.Server{Handler: h, TLSConfig: http3.ConfigureTLSConfig(q.config)}
		go func() { _ = h3.Serve(udp) }()
	}
	return (&http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}).Serve(ln)
}

// setHeaders sets the headers that every hand-written stream sets.
func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
}

// flusher returns w's Flusher.
func flusher(w http.ResponseWriter) http.Flusher {
	return w.(http.Flusher) //nolint:forcetypeassert // the server's own
}

// A job does something n times, and returns how often it did.
type job func(n int) (int, error)

func (do job) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := number(r.URL.RawQuery)
	got, err := do(n)
	if err == nil && got != n {
		err = fmt.Errorf("server: %d of %d were done", got, n)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, got)
}

// parsing makes a job of parse, which parses a whole stream and returns the number of its
// events.
func parsing(parse func(stream string) (events int, err error)) job {
	const batch = 1000
	var b strings.Builder
	for id := range batch {
		fmt.Fprintf(&b, format, firstID+id, eventType, data)
	}
	stream := b.String()
	return func(n int) (done int, err error) {
		for done < n {
			events, err := parse(stream)
			if err != nil {
				return done, err
			}
			if events == 0 {
				return done, errors.New("server: the parser found no event")
			}
			done += events
		}
		return done, nil
	}
}
