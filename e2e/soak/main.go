// Command soak keeps servers under abuse, and checks whether an event is lost, and whether
// what the abuse has taken comes back:
//
//	go run ./e2e/soak -for 1h
//
// Readers follow topics from server to server, and check each byte of each event. At the same
// time hostile clients stall, vanish, send rubbish and worse; servers are restarted, the log
// is killed, and all readers are reset at once. It exits with status 1 if an event was lost
// or came twice, a session did not end as it should, or the server that ran throughout has
// more goroutines, files or memory at the end than before. docs/reliability.md has the
// figures.
//
//   - soak.go runs it
//   - server.go is the server, in a process of its own, on all frameworks
//   - process.go starts and kills servers and the log
//   - accidents.go restarts the servers and the log, and resets the readers
//   - reader.go has the readers
//   - hostile.go has the hostile clients
//   - usage.go, report.go and chart.go are what is measured, and how it is shown
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

func main() {
	if log := os.Getenv(envServer); log != "" {
		if err := serve(log); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := command(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func command(args []string, stdout, stderr *os.File) error {
	var o options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError) // not what testing and httptest have added
	flags.SetOutput(stderr)
	flags.DurationVar(&o.length, "for", 2*time.Minute, "how long it goes on")
	flags.Uint64Var(&o.seed, "seed", 0, "the `number` that decides what happens, as far as it can be repeated; 0 means a new one")
	flags.IntVar(&o.readers, "readers", 200, "the `number` of readers")
	flags.IntVar(&o.hostile, "hostile", 56, "the `number` of hostile clients at once")
	flags.DurationVar(&o.pause, "pause", 5*time.Second, "between two accidents, on average")
	flags.StringVar(&o.only, "only", "", "the `kind` of hostile clients; empty means all")
	out := flags.String("out", "", "write soak.json, soak.md and charts to this `folder`")
	render := flags.String("render", "", "run nothing, and show this soak.json `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -help", flags.Arg(0))
	}
	if o.only != "" && kindNamed(o.only) == nil {
		return fmt.Errorf("-only %q is not the name of a kind", o.only)
	}
	if *render != "" {
		r, err := readReport(*render)
		if err != nil {
			return err
		}
		return show(r, stdout, *out)
	}
	for o.seed == 0 {
		o.seed = rand.Uint64() //nolint:gosec // not a secret
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := newSoak(o)
	done := showProgress(stderr, s.progress)
	fmt.Fprintf(stderr, "seed %d\n", o.seed)
	r, err := s.run(ctx)
	done()
	if err != nil {
		return err
	}
	r.Command = fmt.Sprintf("go run ./e2e/soak -for %v -readers %d -hostile %d -seed %d", o.length, o.readers, o.hostile, o.seed)
	r.Machine = fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if err := show(r, stdout, *out); err != nil {
		return err
	}
	if len(r.Wrong) > 0 {
		return fmt.Errorf("%d things went wrong; -seed %d repeats what can be repeated", len(r.Wrong), o.seed)
	}
	return nil
}

// show prints a report, and writes it to a folder if that has a name.
func show(r *Report, w io.Writer, folder string) error {
	fmt.Fprint(w, r.Text())
	if folder == "" {
		return nil
	}
	return r.Write(folder)
}

// showProgress shows a line from time to time, until done is called. On a terminal each
// replaces the previous one.
func showProgress(f *os.File, line func() string) (done func()) {
	tick, before, after := time.Minute, "", "\n"
	if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		tick, before, after = time.Second, "\r\x1b[K", ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for range core.Every(ctx, tick) {
			_, _ = io.WriteString(f, before+line()+after)
		}
		_, _ = io.WriteString(f, before)
	}()
	return func() { cancel(); <-stopped }
}
