// Demo serves one page and its streams on gin, echo v4, echo v5, fiber v2, fiber v3 and
// net/http at once:
//
//	go run ./examples/demo
//
// Then open one of the addresses that it prints. The streams are generators in views.go and
// picture.go, which do not depend on a framework, and subscriptions in chat.go, market.go and
// news.go, to a hub that all six frameworks share. gin.go, echo.go, echo5.go, fiber.go,
// fiber3.go and nethttp.go only route to them.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// How long the streams, and then the servers, may take to end: less than two seconds in
// all.
const (
	drainTime = 1200 * time.Millisecond
	closeTime = 500 * time.Millisecond
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx ends, and returns the exit code: 2 if the arguments are wrong, 1
// after any other error.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 2
	}
	if err := serve(ctx, cfg, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}

// A site is a framework that serves.
type site struct {
	framework
	listener net.Listener
	server   server
	tls      bool
}

func serve(ctx context.Context, cfg config, stdout, stderr io.Writer) error {
	sites, err := listen(cfg)
	if err != nil {
		return err
	}
	var streams core.Group
	d := newDemo(cfg.tick, &streams, log.New(stderr, "demo: ", 0))
	for _, s := range sites {
		d.sites = append(d.sites, siteInfo{Name: s.name, Port: s.port()})
	}

	failed := make(chan error, len(sites))
	var serving sync.WaitGroup
	for i := range sites {
		s := &sites[i]
		s.server = s.build(d)
		serving.Go(func() {
			if err := s.server.Serve(s.listener); ctx.Err() == nil {
				failed <- fmt.Errorf("%s has stopped serving: %w", s.name, err)
			}
		})
	}
	welcome(stdout, cfg, sites)

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, shutdown(stdout, &streams, d, sites))
	serving.Wait()
	return err
}

// listen opens a port for each framework. After an error, none stays open.
func listen(cfg config) ([]site, error) {
	var sites []site
	for i, f := range cfg.frameworks {
		port := cfg.port
		if port != 0 {
			port += i
		}
		addr := net.JoinHostPort(cfg.host, fmt.Sprint(port))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			sites = append(sites, site{framework: f, listener: f.secure(l, cfg.cert), tls: cfg.cert != nil})
			continue
		}
		for _, s := range sites {
			_ = s.listener.Close()
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s cannot listen on %s: the port is in use: "+
				"stop the program that uses it, or choose other ports with -addr", f.name, addr)
		}
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return sites, nil
}

// secure adds TLS to a listener, if there is a certificate.
func (f framework) secure(l net.Listener, cert *tls.Certificate) net.Listener {
	if cert == nil {
		return l
	}
	protocols := []string{"http/1.1"}
	if f.http2 {
		protocols = []string{"h2", "http/1.1"}
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: protocols, MinVersion: tls.VersionTLS12})
}

func (s site) port() int {
	return s.listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
}

// url returns the site's URL for a browser on this machine.
func (s site) url(host string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if s.tls {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, fmt.Sprint(s.port()))
}

func welcome(w io.Writer, cfg config, sites []site) {
	fmt.Fprintf(w, "\n  The same page and streams, from the same generators, on\n\n")
	for _, s := range sites {
		fmt.Fprintf(w, "    %-8s  %s\n", s.name, s.url(cfg.host))
	}
	fmt.Fprintf(w, "\n  Open one of them, or:  curl -N '%s/stream?user_id=ada'\n", sites[0].url(cfg.host))
	fmt.Fprintf(w, "  Ctrl-C ends the streams and stops the servers.\n\n")
}

// shutdown ends the streams, each with a reconnection time, then the publishers, and then
// the servers.
func shutdown(w io.Writer, streams *core.Group, d *demo, sites []site) error {
	begin := time.Now()
	fmt.Fprintf(w, "\n  Stopping: %d open streams to end.\n", streams.Len())
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := errors.Join(streams.Shutdown(ctx), d.close(ctx))

	ctx, cancel = context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var closing sync.WaitGroup
	for _, s := range sites {
		closing.Go(func() {
			// Connections that are left now are not streams. A browser has opened them in
			// advance, so do not wait for them.
			_ = s.server.Shutdown(ctx)
			_ = s.listener.Close()
			if c, ok := s.server.(io.Closer); ok {
				_ = c.Close()
			}
		})
	}
	closing.Wait()
	if err == nil {
		fmt.Fprintf(w, "  All streams have ended and the servers have stopped, in %v.\n", time.Since(begin).Round(time.Millisecond))
	}
	return err
}
