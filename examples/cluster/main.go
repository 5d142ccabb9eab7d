// Cluster is one hub over several processes: a message that is posted to one node
// appears on all, and a page whose node dies continues on another node, with each
// message once.
//
//	go run ./examples/cluster -nodes 3
//
// Then open one of the addresses that it prints. The hubs' log is on a NATS server in
// this process, or on a Redis server:
//
//	go run ./examples/cluster -nodes 3 -redis redis://127.0.0.1:6379
//
// main.go starts the processes; node.go is the program of each node.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// endTime is how long the nodes may take to end.
const endTime = 5 * time.Second

type config struct {
	nodes, port int
	host        string
	log         string // the URL of the server that holds the log
	node        int    // the number of this node; 0 if this process starts the nodes
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c config
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&c.nodes, "nodes", 3, "how many `processes` serve the page")
	flags.IntVar(&c.port, "port", 8080, "the first node's `port`; the other nodes have the next ports; 0 means any free ports")
	flags.StringVar(&c.host, "host", "127.0.0.1", "the `address` to listen on")
	flags.StringVar(&c.log, "redis", "", "the `URL` of a Redis server to use instead of NATS")
	flags.IntVar(&c.node, "node", 0, "only for the program itself: the `number` of the node that this process is")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil && (c.nodes < 1 || flags.NArg() > 0):
		err = errors.New("want -nodes of at least 1, and no arguments except flags")
		fmt.Fprintf(stderr, "cluster: %v\n", err)
	case err == nil && c.log != "" && !strings.Contains(c.log, "://"):
		err = errors.New("-redis wants a URL such as redis://127.0.0.1:6379")
		fmt.Fprintf(stderr, "cluster: %v\n", err)
	}
	switch {
	case err != nil:
		return 2
	case c.node > 0:
		err = serve(c, stdin, stdout)
	default:
		err = start(ctx, c, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "cluster: %v\n", err)
		return 1
	}
	return 0
}

// start runs the nodes until ctx ends.
func start(ctx context.Context, c config, stdout, stderr io.Writer) error {
	server := "Redis"
	if c.log == "" {
		server = "NATS"
		stop, url, err := startNATS()
		if err != nil {
			return err
		}
		defer stop()
		c.log = url
	}
	var nodes []*node
	var ended sync.WaitGroup
	defer func() {
		kill := time.AfterFunc(endTime, func() {
			for _, n := range nodes {
				_ = n.cmd.Process.Kill()
			}
		})
		for _, n := range nodes {
			_ = n.stdin.Close() // ends the node
		}
		ended.Wait()
		kill.Stop()
	}()
	var urls []string
	for i := range c.nodes {
		n, err := startNode(c, i, stderr)
		if err != nil {
			return fmt.Errorf("node %d: %w", i+1, err)
		}
		nodes = append(nodes, n)
		urls = append(urls, n.url)
		ended.Go(func() {
			if err := n.cmd.Wait(); ctx.Err() == nil {
				fmt.Fprintf(stdout, "  Node %d has ended: %v\n", i+1, err)
			}
		})
	}
	for i, n := range nodes {
		if _, err := fmt.Fprintln(n.stdin, strings.Join(urls, " ")); err != nil {
			return fmt.Errorf("node %d: %w", i+1, err)
		}
	}
	fmt.Fprintf(stdout, "\n  One hub in %d processes, over %s\n\n", c.nodes, server)
	for i, n := range nodes {
		fmt.Fprintf(stdout, "    node %d  %s  process %d\n", i+1, n.url, n.cmd.Process.Pid)
	}
	fmt.Fprintf(stdout, "\n  Open one of them, or all. Ctrl-C stops the nodes.\n\n")
	<-ctx.Done()
	return nil
}

// startNATS runs a NATS server in this process.
func startNATS() (stop func(), url string, err error) {
	dir, err := os.MkdirTemp("", "cluster-")
	if err != nil {
		return nil, "", err
	}
	stop = func() { _ = os.RemoveAll(dir) }
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err == nil {
		s.Start()
		stop = func() {
			s.Shutdown()
			s.WaitForShutdown()
			_ = os.RemoveAll(dir)
		}
		if !s.ReadyForConnections(10 * time.Second) { //nolint:mnd // long enough
			err = errors.New("the NATS server did not start within 10 s")
		}
	}
	if err != nil {
		stop()
		return nil, "", err
	}
	return stop, s.ClientURL(), nil
}

// A node is a process that serves the page. It ends when its standard input ends, so it
// also ends if this process dies.
type node struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	url   string
}

func startNode(c config, i int, stderr io.Writer) (*node, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	port := c.port
	if port != 0 {
		port += i
	}
	args := []string{"-node", strconv.Itoa(i + 1), "-host", c.host, "-port", strconv.Itoa(port)}
	n := &node{cmd: exec.Command(program, args...)}    //nolint:gosec // itself
	n.cmd.Env = append(os.Environ(), envLog+"="+c.log) // not an argument: it may have a password
	n.cmd.Stderr = stderr
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	if n.url, err = bufio.NewReader(stdout).ReadString('\n'); err != nil {
		_ = n.stdin.Close()
		_ = n.cmd.Wait()
		return nil, errors.New("the process did not start: see its error above")
	}
	n.url = strings.TrimSpace(n.url)
	return n, nil
}

// urlOf returns the URL of a listener for a browser on this machine.
func urlOf(l net.Listener) string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
