package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/yieldsse/yieldsse/client"
)

// rampLimit bounds the time for all streams to open.
const rampLimit = 30 * time.Second

type bench struct {
	*app

	request   requestFlags
	stream    streamFlags
	conns     int
	dials     int
	duration  time.Duration
	timeField string
	json      bool
}

func newBench(a *app) *cobra.Command {
	b := &bench{app: a, request: requestFlags{stdin: a.stdin}}
	cmd := &cobra.Command{
		Use:   "bench URL",
		Short: "Open many streams at once and measure them",
		Long: `Open many streams at once and measure them: how long it takes to connect, events
and bytes per second, how late events arrive, reconnections and errors.

One stream is opened first; if it fails, bench ends. The measurement begins when all
streams are open, or after 30 s. Streams that end or break connect again after the
reconnection time, as clients do. The proper end of a response is not an error.

connect   from sending the request to the headers of the response, including TCP
          and TLS if the connection is new
events    those during the measurement, and bytes of the responses' bodies
latency   from the time in an event to its arrival. An event has one if its data
          is a time, or an object with one in its field time, ts or timestamp (or
          the one that --time-field names). A time is text as in RFC 3339, or a
          number of seconds, milliseconds, microseconds or nanoseconds since 1970,
          depending on its size. If the server runs on another machine, the latency
          includes the difference between the two clocks.

With --json the report is one object. Its times are in milliseconds.

The exit status is 0 after a measurement, 1 if no stream could be opened or all
have ended, 2 for wrong arguments and 130 after Ctrl-C, with a report of the
measurement so far.`,
		Example: `  yieldsse bench https://example.com/prices -conns 1000 -for 30s
  yieldsse bench -json -time-field sent_at https://example.com/prices | jq .latency.p99Ms`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return b.run(cmd.Context(), args[0]) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.IntVarP(&b.conns, "conns", "c", 10, "open `N` streams")
	fs.DurationVar(&b.duration, "for", 10*time.Second, "measure for this long")
	fs.IntVar(&b.dials, "dials", 50, "make at most `N` connections at a time")
	fs.StringVar(&b.timeField, "time-field", "", "the `name` of the field with an event's time")
	fs.BoolVar(&b.json, "json", false, "print the report as JSON")
	b.request.add(fs)
	b.stream.add(fs)
	return cmd
}

func (b *bench) run(ctx context.Context, address string) error {
	switch {
	case b.conns < 1:
		return usageError("-conns is %d: it must be 1 or more", b.conns)
	case b.dials < 1:
		return usageError("--dials is %d: it must be 1 or more", b.dials)
	case b.duration <= 0:
		return usageError("-for is %v: it must be more than 0", b.duration)
	}
	req, err := b.request.request(ctx, address)
	if err != nil {
		return err
	}
	transport := b.request.transport()
	transport.DisableCompression = true
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = b.conns, b.conns
	defer transport.CloseIdleConnections()

	m := newMeter(transport, b.dials, b.now)
	stopProgress := showProgress(b.stderr, isTerminal(b.stderr), func() string { return m.progress(b.conns) })
	s, err := b.measure(ctx, req, m)
	stopProgress()
	if err != nil {
		if ctx.Err() != nil {
			return exitError{code: statusInterrupted}
		}
		return err
	}
	r := newReport(m, s)
	r.URL, r.Streams = req.URL.Redacted(), b.conns
	text := r.text
	if b.json {
		text = func() []byte { return jsonText(r) }
	}
	if err := b.print(text()); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return exitError{code: statusInterrupted}
	case r.GivenUp == b.conns:
		return errors.New("all streams ended before the end of the measurement: see the errors above")
	}
	return nil
}

// measure opens the streams and counts until the time is over. Its error is the first
// stream's.
func (b *bench) measure(ctx context.Context, req *http.Request, m *meter) (snapshot, error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup // of the streams
	defer all.Wait()
	defer cancel()

	start := b.now()
	first := make(chan error, 1)
	b.open(ctx, req, m, 0, &all, func(err error) { first <- err })
	if err := <-first; err != nil {
		return snapshot{}, err
	}
	settled := make(chan struct{}, b.conns)
	for i := 1; i < b.conns; i++ {
		b.open(ctx, req, m, i, &all, func(error) { settled <- struct{}{} })
	}
	limit := time.NewTimer(rampLimit)
	defer limit.Stop()
ramp:
	for range b.conns - 1 {
		select {
		case <-settled:
		case <-limit.C:
			break ramp
		case <-ctx.Done():
			break ramp
		}
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	defer func() { cancel(); <-ended }()

	m.begin(b.now().Sub(start))
	end := time.NewTimer(b.duration)
	defer end.Stop()
	select {
	case <-end.C:
	case <-ended:
	case <-ctx.Done():
	}
	return m.end(), nil
}

// open reads stream number i until the context ends. It calls settled once, with
// the result of the first attempt to connect.
func (b *bench) open(
	ctx context.Context, req *http.Request, m *meter, i int, all *sync.WaitGroup, settled func(error),
) {
	var once sync.Once
	settle := func(err error) { once.Do(func() { settled(err) }) }
	p := m.probe(i)
	opts := append(b.stream.options(),
		client.WithHTTPClient(&http.Client{Transport: p}),
		client.WithConnected(func(res *http.Response) {
			p.connected(res)
			settle(nil)
		}),
		client.WithDisconnected(func(err error, _ time.Duration) {
			p.disconnected(err)
			settle(err)
		}),
	)
	times := timeFields(b.timeField)
	all.Go(func() {
		for e, err := range client.Stream(req.WithContext(ctx), opts...) {
			if err != nil {
				if ctx.Err() == nil {
					p.disconnected(err)
					p.gaveUp.Add(1)
				}
				settle(err)
				return
			}
			p.event(e, times)
		}
	})
}
