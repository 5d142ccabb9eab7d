package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A server is a framework with its routes.
type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
}

// A framework is one of the six.
type framework struct {
	name  string
	build func(d *demo) server
	http2 bool // over TLS
}

// frameworks are in the order of their ports.
var frameworks = []framework{
	{"gin", newGin, true},
	{"echo v4", newEcho, true},
	{"echo v5", newEcho5, true},
	{"fiber v2", newFiber, false},
	{"fiber v3", newFiber3, false},
	{"net/http", newNetHTTP, true},
}

// A config holds the values of the flags.
type config struct {
	host       string
	port       int // the first framework's; 0 for free ports
	frameworks []framework
	tick       time.Duration
	cert       *tls.Certificate // nil without TLS
}

const usage = `Usage: demo [flags]

One page and its streams, served by gin, echo v4, echo v5, fiber v2, fiber v3 and net/http at once.

`

// parse reads the flags. It prints the help if -help asks for it; errors are for the
// caller to print.
func parse(args []string, stderr io.Writer) (config, error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` of the first framework; the others have the next ports, in the\n"+
		"order gin, echo v4, echo v5, fiber v2, fiber v3, net/http; port 0 gives each of them a free one")
	name := flags.String("framework", "", "`name` of a framework to serve alone, on -addr: "+choice())
	tick := flags.Duration("tick", time.Second, "length of a tick; all delays are measured in ticks")
	cert := flags.String("cert", "", "`file` of a certificate, to serve with TLS and, except on fiber, with HTTP/2")
	key := flags.String("key", "", "`file` of the certificate's key")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stderr, usage)
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return config{}, err
	} else if err != nil {
		return config{}, fmt.Errorf("%w (-help lists the flags)", err)
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q (-help lists the flags)", flags.Arg(0))
	}

	cfg := config{frameworks: frameworks, tick: *tick}
	if *name != "" {
		cfg.frameworks = nil
		for _, f := range frameworks {
			if spell(f.name) == spell(*name) {
				cfg.frameworks = []framework{f}
			}
		}
		if cfg.frameworks == nil {
			return config{}, fmt.Errorf("-framework %q is unknown: want %s", *name, choice())
		}
	}
	if *tick < time.Millisecond || *tick > time.Hour {
		return config{}, fmt.Errorf("-tick %v is out of range: want 1ms to 1h", *tick)
	}
	if *cert != "" || *key != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return config{}, fmt.Errorf("-cert %q and -key %q cannot be used: %w", *cert, *key, err)
		}
		cfg.cert = &pair
	}
	host, portText, err := net.SplitHostPort(*addr)
	if err != nil {
		return config{}, fmt.Errorf("-addr %q: want a host and a port, such as 127.0.0.1:8080", *addr)
	}
	highest := 65536 - len(cfg.frameworks)
	port, err := strconv.Atoi(portText)
	if err != nil || port < 0 || port > highest {
		return config{}, fmt.Errorf("-addr %q: want a port from 0 to %d", *addr, highest)
	}
	cfg.host, cfg.port = host, port
	return cfg, nil
}

// spell returns a framework's name for -framework: nethttp for net/http, echo5 for echo v5.
func spell(name string) string { return shorten.Replace(strings.ToLower(name)) }

var shorten = strings.NewReplacer("/", "", " v", "")

func choice() string {
	names := make([]string, len(frameworks))
	for i, f := range frameworks {
		names[i] = spell(f.name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
