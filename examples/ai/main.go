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
// chat.go has the views, model.go the two models.
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

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
)

// Bounds of what the chat keeps, all in memory.
const (
	maxTurns  = 64 << 20         // bytes of all conversations: the oldest turns are dropped
	maxAnswer = 10 * time.Minute // for writing one
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

// start serves until ctx ends, and returns the exit code: 2 if the arguments are wrong, 1
// after any other error.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("ai", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	server := flags.String("upstream", "", "the base `URL` of a server that speaks OpenAI's protocol; the built-in model without it")
	name := flags.String("model", "gpt-5-mini", "the `model` to ask there")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
		fmt.Fprintf(stderr, "ai: %v\n", err)
	}
	if err != nil {
		return 2
	}
	ask := builtIn
	if *server != "" {
		base, err := url.Parse(*server)
		if err != nil || base.Host == "" {
			fmt.Fprintf(stderr, "ai: -upstream %q is not a URL such as http://127.0.0.1:11434/v1\n", *server)
			return 2
		}
		u := upstream{base.JoinPath("chat", "completions").String(), *name, os.Getenv("OPENAI_API_KEY"), maxSilent}
		ask = u.answer
	}
	if err := serve(ctx, *addr, ask, grace{5 * time.Second, 2 * time.Second}, stdout); err != nil {
		fmt.Fprintf(stderr, "ai: %v\n", err)
		return 1
	}
	return 0
}

// serve serves the chat until ctx ends. Then the answers that are being written may finish.
func serve(ctx context.Context, addr string, ask model, g grace, stdout io.Writer) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Open http://%s, ask something, and reload the page.\n", ln.Addr())

	// All that the chat keeps is in these two, in memory.
	chats := hub.New(hub.WithMaxEvents(0), hub.WithMaxBytes(maxTurns))
	answers := run.New(run.WithMaxDuration(maxAnswer))

	srv := &http.Server{Handler: (&chat{ask, chats, answers}).router(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ctx = context.WithoutCancel(ctx)
	finished := finish(ctx, answers, g)
	within, cancel := context.WithTimeout(ctx, g.rest)
	defer cancel()
	return errors.Join(finished, chats.Shutdown(within), srv.Shutdown(within)) // the windows get the last answers first
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
