package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fatih/color"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
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
something holds back, heartbeats, IDs and whether it resumes, the bytes themselves,
and what comes after its end.

The request is sent a few times, one connection after the other. The first is
watched, for --watch at the most, and for half of it if enough has come by then.
All in all a check takes up to 10 s longer than that. Watch for 20 s or more to see
heartbeats.

Each finding says what was seen, why it matters and how to mend it. It is
  fault    what harms all clients
  warning  what harms some of them, or now and then
  info     worth knowing
  ok       as it should be: shown with --verbose

With --json the report is one object with
  url, method  that were asked for
  stream       whether the answer was an event stream; if not, little was checked
  requests     how many were sent
  watchedMs   how long the first connection was watched
  events       how many came on it
  summary      how many findings there are: ok, info, warning and fault
  findings     all of them, as objects with subject, severity, seen, why and mend;
               the last two are not there when all is well

The exit status is 0 without a warning or a fault, 1 with one, 2 when it could not
run (wrong arguments, nothing answers there) and 130 after Ctrl-C.`,
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
	fs.DurationVar(&c.watch, "watch", 20*time.Second, "watch the first connection for so long, at the most")
	fs.StringVar(&c.origin, "origin", "", "check whether a page of this `origin` may read the stream (CORS)")
	fs.BoolVar(&c.json, "json", false, "print the report as JSON")
	fs.BoolVarP(&c.verbose, "verbose", "v", false, "show what is as it should be, too")
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

// verdict returns the exit status, and a sentence if there was no stream to look at.
func verdict(r *check.Report) error {
	if r.Summary.Clean() {
		return nil
	}
	exit := exitError{code: statusFindings}
	if !r.Stream {
		for _, f := range r.Findings {
			if f.Severity >= check.Warning {
				exit.err = fmt.Errorf("%s is no event stream: %s: %s", r.URL, f.Subject, f.Seen)
				break
			}
		}
	}
	return exit
}

// checkOrigin says what is wrong with an origin: it is what a browser sends.
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
	return fmt.Sprintf("watching %.0f s of %.0f s, %s", elapsed.Seconds(), c.watch.Seconds(), plural(events.Load(), "event"))
}

func (c *checker) show(r *check.Report, coloured bool) error {
	if c.json {
		return c.print(jsonText(r))
	}
	return c.print([]byte(findingsTable(r, c.verbose, c.width(), newMarks(coloured))))
}

// Columns of the table, where nothing else is known, and bounds.
const (
	defaultWidth = 100
	leastWidth   = 60
	mostWidth    = 120 // longer lines are hard to read
)

func (c *checker) width() int {
	f, isFile := c.stdout.(*os.File)
	if !isFile {
		return defaultWidth
	}
	n := check.Width(f)
	if n == 0 {
		n = defaultWidth
	}
	return min(max(n, leastWidth), mostWidth)
}

// marks are the colours of the severities, and of what is said.
type marks struct {
	severity map[check.Severity]*color.Color
	faint    *color.Color
}

func newMarks(coloured bool) marks {
	m := marks{
		severity: map[check.Severity]*color.Color{
			check.OK:      color.New(color.FgGreen),
			check.Info:    color.New(color.FgCyan),
			check.Warning: color.New(color.FgYellow, color.Bold),
			check.Fault:   color.New(color.FgRed, color.Bold),
		},
		faint: color.New(color.Faint),
	}
	all := []*color.Color{m.faint}
	for _, c := range m.severity {
		all = append(all, c)
	}
	for _, c := range all {
		if coloured {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return m
}

// findingsTable returns the report for people.
func findingsTable(r *check.Report, verbose bool, width int, m marks) string {
	var b strings.Builder
	w := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options.SeparateRows = true
	w.SetStyle(style)
	w.AppendHeader(table.Row{"", "subject", "finding"})

	const mark = len("warning")
	subject := len("subject")
	shown := 0
	for _, f := range r.Findings {
		if f.Severity != check.OK || verbose {
			subject = max(subject, len(f.Subject))
			shown++
		}
	}
	const rules = 4 + 3*2 // lines between the columns, and the space on both sides of each
	rest := width - rules - mark - subject
	for _, f := range r.Findings {
		if f.Severity == check.OK && !verbose {
			continue
		}
		said := wrap("", f.Seen, rest, nil)
		if f.Why != "" {
			said += "\n" + wrap("why:  ", f.Why, rest, m.faint) + "\n" + wrap("mend: ", f.Mend, rest, nil)
		}
		w.AppendRow(table.Row{m.severity[f.Severity].Sprint(f.Severity), f.Subject, said})
	}
	if shown > 0 {
		b.WriteString(w.Render() + "\n")
	}
	for line := range strings.SplitSeq(wrap("", summary(r), width, nil), "\n") {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// wrap breaks s between words, and a word that is too long where it must; what
// follows the first line is as far to the right as the first, behind its label. Each
// line has the colour for itself, so that the frame of a table has none.
func wrap(label, s string, width int, c *color.Color) string {
	lines := strings.Split(text.WrapSoft(oneLine(s), max(width-len(label), 10)), "\n")
	for i, line := range lines {
		indent := strings.Repeat(" ", len(label))
		if i == 0 {
			indent = label
		}
		line = indent + strings.TrimRight(line, " ")
		if c != nil {
			line = c.Sprint(line)
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// summary is the last line.
func summary(r *check.Report) string {
	s := r.Summary
	total := s.OK + s.Info + s.Warning + s.Fault
	return fmt.Sprintf("%d of %d checks passed: %s, %s, %s; %s in %.1f s", s.OK, total,
		plural(int64(s.Fault), "fault"), plural(int64(s.Warning), "warning"), plural(int64(s.Info), "note"),
		plural(int64(r.Events), "event"), float64(r.WatchedMS)/1000)
}
