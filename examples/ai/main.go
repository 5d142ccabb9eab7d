// AI is a chat with a language model. The answer goes on when the page is reloaded, a second
// window joins it, and a button stops it.
//
//	go run ./examples/ai
//
// Then open the address that it prints. It has a small model built in, which needs no key
// and no network. For a real one, name a server that speaks the protocol of OpenAI; the key,
// if the server wants one, is in the environment variable OPENAI_API_KEY:
//
//	go run ./examples/ai -upstream http://127.0.0.1:11434/v1 -model llama3.2
//
// All is in the memory of the process. With a Redis or a NATS server, several processes serve
// the same chats, so a window may come to any of them:
//
//	go run ./examples/ai -redis redis://127.0.0.1:6379
//	go run ./examples/ai -redis redis://127.0.0.1:6379 -addr 127.0.0.1:8081
//
// chat.go has the views, model.go the two models, and shared.go what the processes share.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/yieldsse/yieldsse/run"
)

// Bounds of what the chat keeps.
const (
	maxTurns  = 64 << 20         // bytes of all conversations in memory: the oldest turns are dropped
	maxAnswer = 10 * time.Minute // for writing one
	maxRead   = 30 * time.Second // for reading a conversation
	maxSilent = 2 * time.Minute  // of a server of models: some think for long before they speak
)

// A grace is how long a shutdown may take.
type grace struct {
	answers time.Duration // for the answers that are being written
	rest    time.Duration // after them
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the arguments say.
type options struct{ addr, upstream, model, redis, nats string }

// parse returns the options, or an error that flag has printed or check has found.
func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("ai", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "the `address` to listen on")
	flags.StringVar(&o.upstream, "upstream", "", "the base `URL` of a server that speaks OpenAI's protocol; the built-in model without it")
	flags.StringVar(&o.model, "model", "gpt-5-mini", "the `model` to ask there")
	flags.StringVar(&o.redis, "redis", "", "the `URL` of a Redis server; all processes that have the same one serve the same chats")
	flags.StringVar(&o.nats, "nats", "", "the `URL` of a NATS server, instead of Redis")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	} else {
		err = o.check()
	}
	if err != nil {
		fmt.Fprintf(stderr, "ai: %v\n", err)
	}
	return o, err
}

// check returns an error without the URLs, which may have passwords.
func (o *options) check() error {
	if o.redis != "" && o.nats != "" {
		return errors.New("-redis and -nats cannot be used together: choose one")
	}
	for _, u := range []struct{ flag, value, example string }{
		{"upstream", o.upstream, "http://127.0.0.1:11434/v1"},
		{"redis", o.redis, "redis://127.0.0.1:6379"},
		{"nats", o.nats, "nats://127.0.0.1:4222"},
	} {
		if at, err := url.Parse(u.value); u.value != "" && (err != nil || at.Host == "" && at.Scheme != "unix") {
			return fmt.Errorf("-%s wants a URL such as %s", u.flag, u.example)
		}
	}
	return nil
}

// open returns what is shared over the server that the options name.
func (o *options) open(ctx context.Context) (s shared, closeAll func(), err error) {
	switch {
	case o.redis != "":
		s, closeAll, err = openRedis(ctx, o.redis)
		if err != nil {
			err = fmt.Errorf("-redis: %w", err)
		}
	case o.nats != "":
		s, closeAll, err = openNATS(ctx, o.nats)
		if err != nil {
			err = fmt.Errorf("-nats: %w", err)
		}
	default:
		closeAll = func() {}
	}
	return s, closeAll, err
}

// start serves until ctx ends, and returns the exit code: 2 if the arguments are wrong, 1
// after any other error.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	ask := builtIn
	if o.upstream != "" {
		base, _ := url.Parse(o.upstream) // it was checked
		u := upstream{base.JoinPath("chat", "completions").String(), o.model, os.Getenv("OPENAI_API_KEY"), maxSilent}
		ask = u.answer
	}
	s, closeAll, err := o.open(ctx)
	if err == nil {
		defer closeAll()
		err = serve(ctx, o.addr, ask, s, grace{5 * time.Second, 2 * time.Second}, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "ai: %v\n", err)
		return 1
	}
	return 0
}

// serve serves the chat until ctx ends. Then the answers that are being written may finish.
func serve(ctx context.Context, addr string, ask model, common shared, g grace, stdout io.Writer) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Open http://%s, ask something, and reload the page.\n", ln.Addr())

	s := newChat(ask, common)
	srv := &http.Server{Handler: s.router(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ctx = context.WithoutCancel(ctx)
	finished := finish(ctx, s.answers, g)
	within, cancel := context.WithTimeout(ctx, g.rest)
	defer cancel()
	slow := s.readers.Wait(within) // until those who read the last answers have them
	within, cancel = context.WithTimeout(ctx, g.rest)
	defer cancel()
	err = errors.Join(finished, s.turns.Shutdown(within)) // the windows get the last answers first
	if slow != nil {
		return errors.Join(err, srv.Close()) // breaks their streams off, because Shutdown would end them cleanly
	}
	return errors.Join(err, srv.Shutdown(within))
}

// finish lets the answers finish, and ends those that take too long. In both cases it waits
// until what they have said is published.
func finish(ctx context.Context, answers *run.Runner, g grace) error {
	within, cancel := context.WithTimeout(ctx, g.answers)
	defer cancel()
	err := answers.Shutdown(within)
	var unfinished *run.ShutdownError
	if !errors.As(err, &unfinished) {
		return err
	}
	within, cancel = context.WithTimeout(ctx, g.rest)
	defer cancel()
	for _, key := range unfinished.Keys { // they have ended, but their generators may not have returned
		if stuck := answers.Stop(within, key); !errors.Is(stuck, run.ErrNotHeld) {
			err = errors.Join(err, stuck)
		}
	}
	return err
}
