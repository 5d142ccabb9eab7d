package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

type checker struct {
	*app

	request requestFlags
	watch   time.Duration
	origin  string
	json    bool
	verbose bool
	color   string
}

func newCheck(a *app) *cobra.Command {
	c := &checker{app: a, request: requestFlags{stdin: a.stdin}}
	cmd := &cobra.Command{
		Use:   "check URL",
		Short: "Find what is wrong with a stream",
		Long: `Find what is wrong with a stream: its headers, caching and compression, events that
are held back, heartbeats, IDs and whether it resumes, the bytes themselves, and what
comes after its end.

The request is sent a few times, one connection after the other. The first connection
is watched for --watch, or for half of that time if enough has arrived by then. The
rest of a check takes up to 10 s. Watch for 20 s or more to see heartbeats.

Each finding says what was seen, why it matters and how to fix it. Its severity is
  fault    harms all clients
  warning  harms some clients, or now and then
  info     worth knowing
  ok       as it should be: shown with --verbose

With --json the report is one object with
  url, method  of the request
  stream       whether the answer was an event stream; if not, little was checked
  requests     how many were sent
  watchedMs    how long the first connection was watched
  events       how many arrived on it
  summary      how many findings there are: ok, info, warning and fault
  findings     all of them, as objects with subject, severity, seen, why and fix;
               an ok finding has no why and no fix

The exit status is 0 without a warning or a fault, 1 with one, 2 if the check could not
run (wrong arguments, no connection) and 130 after Ctrl-C.`,
		Example: `  yieldsse check https://example.com/prices
  yieldsse check -origin https://app.example.com -H 'Cookie: session=123' https://example.com/prices
  yieldsse check -json https://example.com/prices | jq '.findings[] | select(.severity == "fault")'
  yieldsse check -d '{"stream": true, "prompt": "hello"}' https://example.com/chat`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	c.request.add(fs)
	fs.DurationVar(&c.watch, "watch", 20*time.Second, "watch the first connection for at most this long")
	fs.StringVar(&c.origin, "origin", "", "check whether a page of this `origin` may read the stream (CORS)")
	fs.BoolVar(&c.json, "json", false, "print the report as JSON")
	fs.BoolVarP(&c.verbose, "verbose", "v", false, "also show what is as it should be")
	fs.StringVar(&c.color, "color", "auto", "auto, always or never: `when` to use colours")
	return cmd
}

const statusFindings = statusFailure

func (c *checker) run(ctx context.Context, address string) error {
	if c.watch < 100*time.Millisecond || c.watch > time.Hour {
		return usageError("--watch is %v: it must be from 100ms to 1h", c.watch)
	}
	if err := checkOrigin(c.origin); err != nil {
		return err
	}
	coloured, err := useColor(c.color, c.stdout)
	if err != nil {
		return err
	}
	req, err := c.request.request(ctx, address)
	if err != nil {
		return exitError{statusUsage, err}
	}
	transport := c.request.transport()
	defer transport.CloseIdleConnections()

	var events atomic.Int64
	done := c.progress(&events)
	report, err := check.Run(ctx, check.Config{
		Request: req,
		Client:  &http.Client{Transport: transport},
		Watch:   c.watch,
		Origin:  c.origin,
		Events:  &events,
	})
	done()
	switch {
	case ctx.Err() != nil:
		return exitError{code: statusInterrupted}
	case err != nil:
		return exitError{statusUsage, err}
	}
	if err := c.show(report, coloured); err != nil {
		return err
	}
	return verdict(report)
}

// verdict returns the exit status, and a sentence if there was no stream to check.
func verdict(r *check.Report) error {
	if r.Summary.Clean() {
		return nil
	}
	exit := exitError{code: statusFindings}
	if !r.Stream {
		for _, f := range r.Findings {
			if f.Severity >= check.Warning {
				exit.err = fmt.Errorf("%s is not an event stream: %s: %s", r.URL, f.Subject, f.Seen)
				break
			}
		}
	}
	return exit
}

// checkOrigin returns an error if a browser would not send such an origin.
func checkOrigin(origin string) error {
	if origin == "" || origin == "null" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		return usageError("--origin is %q: it must be a scheme and a host, such as https://example.com, without a path", origin)
	}
	return nil
}

// progress shows how far the check is, on a terminal, until done is called.
func (c *checker) progress(events *atomic.Int64) (done func()) {
	if !isTerminal(c.stderr) {
		return func() {}
	}
	start := time.Now()
	return showProgress(c.stderr, true, func() string { return c.progressLine(time.Since(start), events) })
}

func (c *checker) progressLine(elapsed time.Duration, events *atomic.Int64) string {
	if elapsed > c.watch {
		return "connecting again"
	}
	return fmt.Sprintf("watching %.0f s of %.0f s, %s", elapsed.Seconds(), c.watch.Seconds(), words.Count(events.Load(), "event"))
}

func (c *checker) show(r *check.Report, coloured bool) error {
	if c.json {
		return c.print(jsonText(r))
	}
	return c.print([]byte(findingsText(r, c.verbose, outputWidth(c.stdout), newMarks(coloured))))
}
