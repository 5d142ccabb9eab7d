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

// How long the answers, and then the servers, may take to end.
const (
	answerTime = 5 * time.Second
	closeTime  = 2 * time.Second
)

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
	upstream := flags.String("upstream", "", "the base `URL` of a server that speaks OpenAI's protocol; the built-in model without it")
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
	if *upstream != "" {
		base, err := url.Parse(*upstream)
		if err != nil || base.Host == "" {
			fmt.Fprintf(stderr, "ai: -upstream %q is not a URL such as http://127.0.0.1:11434/v1\n", *upstream)
			return 2
		}
		ask = upstreamModel(base.JoinPath("chat", "completions").String(), *name, os.Getenv("OPENAI_API_KEY"))
	}
	if err := serve(ctx, *addr, ask, stdout); err != nil {
		fmt.Fprintf(stderr, "ai: %v\n", err)
		return 1
	}
	return 0
}

// serve serves the chat until ctx ends. Then the answers that are being written may finish.
func serve(ctx context.Context, addr string, ask model, stdout io.Writer) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Open http://%s, ask something, and reload the page.\n", ln.Addr())

	// All that the chat keeps is in these two, in memory.
	chats, answers := hub.New(), run.New()

	srv := &http.Server{Handler: (&chat{ask, chats, answers}).router(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	unfinished := answers.Shutdown(within)
	within, cancel = context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return errors.Join(unfinished, chats.Shutdown(within), srv.Shutdown(within)) // the windows get the last answers first
}
