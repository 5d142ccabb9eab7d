package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

type tail struct {
	*app

	request     requestFlags
	stream      streamFlags
	lastEventID string
	count       int
	types       []string
	json        bool
	noReconnect bool
	retry       bool
	idle        time.Duration
	verbose     bool
	color       string

	printer printer
	notices palette
}

func newTail(a *app) *cobra.Command {
	t := &tail{app: a, request: requestFlags{stdin: a.stdin}}
	cmd := &cobra.Command{
		Use:   "tail URL",
		Short: "Show the events of a stream as they arrive",
		Long: `Show the events of a stream as they arrive: the time since the previous event, the
type, the last event ID, and the data below.

On a terminal there are colours, and JSON in the data is indented. Control
characters that the server sends are always shown escaped. Notices about the
connection go to stderr.

If a connection ends or breaks, tail waits and connects again with the last event
ID. Only the first connection must succeed: without --retry its failure ends the
program, so that a wrong URL is noticed.

With --json each event is a line with an object:
  time      when it arrived
  sinceMs   milliseconds since the previous event, or since the connection
  id        the last event ID, if there is one
  type      "message" if the stream has set none
  data      the data, a string
  json      the data as a value, if it is JSON
  retryMs   the reconnection time, if the event sets one
With --verbose there are also objects without type and data:
  comment   a comment: one line
  retryMs   a reconnection time that came without an event
  id        the last event ID, if it changes without an event

The exit status is 0 after -n events, when the server ends the stream for good
(204), even before -n events, and with --no-reconnect at the end of a response
that is whole; 1 after a failure, 2 for wrong arguments and 130 after Ctrl-C.`,
		Example: `  yieldsse tail https://example.com/prices
  yieldsse tail -H 'Authorization: Bearer 123' -types add,remove https://example.com/items
  yieldsse tail -json -n 10 https://example.com/prices | jq .json.price
  yieldsse tail -no-reconnect -d '{"stream": true, "prompt": "hello"}' https://example.com/chat`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), args[0]) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	t.request.add(fs)
	fs.StringVar(&t.lastEventID, "last-event-id", "", "begin after the event with this `ID`")
	fs.IntVarP(&t.count, "count", "n", 0, "end after `N` events")
	fs.StringSliceVar(&t.types, "types", nil, "show only events of these `types`, separated by commas")
	fs.BoolVar(&t.json, "json", false, "print each event as a line of JSON")
	fs.BoolVar(&t.noReconnect, "no-reconnect", false, "end when the response ends")
	fs.BoolVar(&t.retry, "retry", false, "also try again if the first connection fails")
	fs.DurationVar(&t.idle, "idle-timeout", 0, "give a connection up if nothing arrives for this long")
	t.stream.add(fs)
	fs.BoolVarP(&t.verbose, "verbose", "v", false, "show comments, including heartbeats, and reconnection times and IDs without an event")
	fs.StringVar(&t.color, "color", "auto", "auto, always or never: `when` to use colours, and to indent JSON")
	return cmd
}

func (t *tail) run(ctx context.Context, address string) error {
	if t.count < 0 {
		return usageError("-n is %d: it must be 0 (no limit) or more", t.count)
	}
	if strings.ContainsFunc(t.lastEventID, control) {
		return usageError("--last-event-id is %q: a header cannot carry control characters", t.lastEventID)
	}
	if err := t.choose(); err != nil {
		return err
	}
	req, err := t.request.request(ctx, address)
	if err != nil {
		return err
	}
	transport := t.request.transport()
	transport.DisableKeepAlives = true // a dead connection must not be used again
	defer transport.CloseIdleConnections()

	connected := false
	opts := append(t.stream.options(),
		client.WithHTTPClient(&http.Client{Transport: waiting{t, transport}}),
		client.WithLastEventID(t.lastEventID),
		client.WithIdleTimeout(t.idle),
		client.WithConnected(func(res *http.Response) {
			t.connected(req, res, connected)
			connected = true
		}),
		client.WithDisconnected(func(err error, wait time.Duration) {
			t.noticef("%s; connecting again in %s", explain(err), words.Duration(wait))
		}),
		client.WithRetryPolicy(func(err error, _ int) bool {
			return (connected || t.retry) && client.Retryable(err)
		}),
	)
	if t.noReconnect {
		opts = append(opts, client.WithOnce("")) // which tells whether the response is whole
	}
	if t.verbose {
		opts = append(opts, client.WithComments(), client.WithPositions(positionType))
	}

	t.printer.last = t.now()
	shown := 0
	for e, err := range client.Stream(req, opts...) {
		if err != nil {
			return t.end(ctx, err, connected)
		}
		if !aside(e) {
			if len(t.types) > 0 && !slices.Contains(t.types, typeOf(e)) {
				continue
			}
			shown++
		}
		if err := t.print(t.printer.event(e, t.now())); err != nil {
			return err
		}
		if shown == t.count && shown > 0 {
			return nil
		}
	}
	t.noticef("%s", explain(client.ErrEnded))
	return nil
}

// choose decides on colours and indentation.
func (t *tail) choose() error {
	coloured, err := useColor(t.color, t.stdout)
	if err != nil {
		return err
	}
	notices, err := useColor(t.color, t.stderr)
	if err != nil {
		return err
	}
	t.notices = newPalette(notices)
	t.printer = printer{
		palette: newPalette(coloured),
		indent:  coloured || isTerminal(t.stdout),
		json:    t.json,
	}
	return nil
}

// connected reports a connection, and starts the clock at the first.
func (t *tail) connected(req *http.Request, res *http.Response, again bool) {
	what := "connected"
	if again {
		what = "connected again"
	} else {
		t.printer.last = t.now()
	}
	if id := res.Request.Header.Get("Last-Event-ID"); id != "" {
		what += " after the ID " + id
	}
	if res.Request.URL.String() != req.URL.String() {
		what += " at " + res.Request.URL.Redacted()
	}
	t.noticef("%s: %d %s, %s, %s", what, res.StatusCode, http.StatusText(res.StatusCode), res.Proto, res.Header.Get("Content-Type"))
}

func (t *tail) noticef(format string, args ...any) {
	fmt.Fprintln(t.stderr, t.notices.faint.Sprint("* "+oneLine(fmt.Sprintf(format, args...))))
}

// A waiting transport shows a notice if a server takes long to answer.
type waiting struct {
	*tail

	next http.RoundTripper
}

func (w waiting) RoundTrip(req *http.Request) (*http.Response, error) {
	told := make(chan struct{})
	timer := time.AfterFunc(w.patience, func() {
		defer close(told)
		w.noticef("connecting to %s", req.URL.Redacted())
	})
	defer func() {
		if !timer.Stop() {
			<-told // so that one notice is written at a time
		}
	}()
	return w.next.RoundTrip(req)
}

// end returns the program's error when err has ended the stream.
func (t *tail) end(ctx context.Context, err error, connected bool) error {
	switch {
	case ctx.Err() != nil:
		return exitError{code: statusInterrupted}
	case errors.Is(err, client.ErrStopped):
		t.noticef("%s", explain(err))
		return nil
	}
	var op *net.OpError
	if !connected && !t.noReconnect && (errors.As(err, &op) && isDial(op) || errors.Is(err, client.ErrStatus) && client.Retryable(err)) {
		return errors.New(explain(err) + " (--retry would try again)")
	}
	return err
}
