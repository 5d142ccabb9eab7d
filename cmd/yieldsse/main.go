package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills the program
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return (&app{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now, patience: time.Second}).run(ctx, args)
}

// An app is the outside world for the commands.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	patience       time.Duration // how long a server may take to answer before a notice is shown
}

// The exit statuses. A command may give them another meaning, which its help says.
const (
	statusOK          = 0
	statusFailure     = 1
	statusUsage       = 2
	statusInterrupted = 130 // the shell's status of a program that Ctrl-C ended
)

// An exitError is an error with its own exit status. Other errors have status 1. Without
// err nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// usageError returns an error about the arguments.
func usageError(format string, args ...any) error {
	return exitError{statusUsage, fmt.Errorf(format, args...)}
}

func (a *app) run(ctx context.Context, args []string) int {
	root := newRoot(a)
	args, err := longFlags(root, args)
	if err == nil {
		root.SetArgs(args)
		err = root.ExecuteContext(ctx)
	}

	var exit exitError
	switch {
	case err == nil:
		return statusOK
	case !errors.As(err, &exit):
		exit = exitError{statusFailure, err}
	}
	if exit.err != nil {
		fmt.Fprintf(a.stderr, "yieldsse: %s\n", oneLine(explain(exit.err)))
	}
	return exit.code
}

// print writes to stdout. If its reader has gone away, as with "| head", the error ends
// the program quietly.
func (a *app) print(p []byte) error {
	_, err := a.stdout.Write(p)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe):
		return exitError{code: statusOK}
	}
	return fmt.Errorf("cannot write the output: %w", err)
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "yieldsse",
		Short: "Show, check and measure event streams (Server-Sent Events)",
		Long: `Show, check and measure event streams (Server-Sent Events).

Long flags may have one dash or two. The exit status is 0 for success, 1 for a
failure, 2 for wrong arguments and 130 after Ctrl-C, unless a command says more.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,

		DisableFlagsInUseLine: true,

		Args: cobra.ArbitraryArgs, // so that an unknown command reaches RunE
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command %q: see yieldsse --help", args[0])
			}
			cmd.SetOut(a.stderr)
			_ = cmd.Help()
			return exitError{code: statusUsage}
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(newTail(a), newCheck(a), newBench(a))
	return root
}

// oneURL is the Args of a command that takes one URL.
func oneURL(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("%s needs exactly one URL, got %d arguments: see %[1]s --help", cmd.CommandPath(), len(args))
	}
	return nil
}

// version returns the module's version, which the go command has recorded.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
