package check

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// A Config says what to check. Request and Client are needed.
type Config struct {
	// Request is sent several times; its GetBody gives the body each time.
	Request *http.Request

	// Client sends it. It must have no Timeout, because a stream may be long.
	Client *http.Client

	// Watch is how long the first connection is watched at most. The rest of a check
	// takes up to 10 s.
	Watch time.Duration

	// Origin is the origin of a page that will read the stream, such as
	// "https://example.com". If it is empty CORS is not checked.
	Origin string

	// Events, unless it is nil, counts the events of the first connection as they
	// arrive, to show the progress.
	Events *atomic.Int64
}

// The time limits of all other connections together, and of one step.
const (
	extra     = 9500 * time.Millisecond
	step      = 5 * time.Second
	shortStep = 1500 * time.Millisecond
)

type runner struct {
	req    *http.Request
	client *http.Client
	facts  *Facts
}

// Run checks a stream. It fails if there is no answer. An answer of any kind makes a
// report.
func Run(ctx context.Context, c Config) (*Report, error) {
	f, err := Collect(ctx, c)
	if err != nil {
		return nil, err
	}
	return Judge(f), nil
}

// Collect collects the facts without judging them.
func Collect(ctx context.Context, c Config) (*Facts, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.Watch+extra, errTimeUp)
	defer cancel()
	r := &runner{
		req:    c.Request,
		client: c.Client,
		facts: &Facts{
			URL:    c.Request.URL.Redacted(),
			Method: c.Request.Method,
			Origin: c.Origin,
			Sent:   c.Request.Header,
			Watch:  c.Watch,
		},
	}
	r.watch(limited, c.Events)
	first := &r.facts.First
	if first.Err != nil && (ctx.Err() != nil || !errors.Is(first.Err, errTimeUp)) {
		return nil, first.Err
	}
	if first.isStream() && first.End != TooLarge {
		// This comes first, while the successor of an ID is still the newest event or
		// nearly so.
		r.resume(limited)
		r.again(limited)
		r.compress(limited)
		r.preflight(limited)
	}
	return r.facts, ctx.Err()
}

// watch makes the first connection.
func (r *runner) watch(ctx context.Context, counter *atomic.Int64) {
	watch := r.facts.Watch
	r.facts.First = *r.exchange(ctx, plan{
		answer:  max(watch, step),
		watch:   watch,
		counter: counter,
		enough: func(e *Exchange) bool {
			last := e.Bursts[len(e.Bursts)-1]
			return last.Until >= watch/2 && (e.Events >= 10 && len(e.Bursts) >= 5 || e.Events >= 10_000)
		},
	})
}

// resume resumes after an ID whose successor is known. If another event comes, it tries
// again with newer IDs: in a stream of latest values, a newer one may have replaced the
// successor meanwhile.
func (r *runner) resume(ctx context.Context) {
	first := &r.facts.First
	if first.IDs.Twice > 0 || first.IDs.Long > 0 || first.IDs.Own == 0 {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, step+shortStep, errTimeUp)
	defer cancel()
	seen := owned(first.Tail)
	for _, back := range []int{3, 1, 1} {
		if len(seen) == 0 || ctx.Err() != nil {
			return
		}
		at := max(len(seen)-1-back, min(len(seen)-2, 1), 0) // not the first: a stream that starts over would look the same
		attempt := Resumed{After: seen[at].ID}
		if at+1 < len(seen) {
			attempt.Expected = seen[at+1].ID
		}
		attempt.Exchange = *r.exchange(ctx, plan{
			lastID: attempt.After,
			answer: shortStep + first.Headers,
			watch:  min(first.Pause+shortStep, step),
			enough: func(e *Exchange) bool { return e.Events >= 5 },
		})
		r.facts.Resumed = append(r.facts.Resumed, attempt)
		if verdict(first, &attempt) != skips {
			return
		}
		seen = owned(attempt.Exchange.Tail)
	}
}

// owned returns the events that brought an ID.
func owned(all []Seen) []Seen {
	var some []Seen
	for _, s := range all {
		if s.ID != "" {
			some = append(some, s)
		}
	}
	return some
}

// again connects again after an end, as an EventSource does, which can only GET.
func (r *runner) again(ctx context.Context) {
	first := &r.facts.First
	if first.End != Clean || r.req.Method != http.MethodGet {
		return
	}
	last := first.LastID
	if len(last) > maxID {
		last = ""
	}
	r.facts.Again = r.exchange(ctx, plan{
		lastID: last,
		answer: shortStep + first.Headers,
		watch:  min(first.FirstEvent+shortStep, step),
		enough: func(e *Exchange) bool { return e.Events >= 1 },
	})
}

// compress accepts compression, as every browser does.
func (r *runner) compress(ctx context.Context) {
	first := &r.facts.First
	r.facts.Gzip = r.exchange(ctx, plan{
		gzip:   true,
		answer: shortStep + first.Headers,
		watch:  min(max(first.FirstEvent, first.FirstByte)+shortStep, step),
		enough: func(e *Exchange) bool { return e.Events >= 1 },
	})
}

// preflight sends what a browser sends before a request that a form could not make.
func (r *runner) preflight(ctx context.Context) {
	method, headers := needsPreflight(r.facts)
	if r.facts.Origin == "" || method == "" && len(headers) == 0 {
		return
	}
	r.facts.Preflight = r.ask(ctx, headers)
}

func (r *runner) ask(ctx context.Context, headers []string) *Preflight {
	p := &Preflight{Method: r.req.Method, Headers: headers}
	ctx, cancel := context.WithTimeoutCause(ctx, shortStep, errTimeUp)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, r.req.URL.String(), nil)
	if err != nil {
		p.Err = err
		return p
	}
	req.Host = r.req.Host
	req.Header.Set("Origin", r.facts.Origin)
	req.Header.Set("Access-Control-Request-Method", r.req.Method)
	if len(headers) > 0 {
		req.Header.Set("Access-Control-Request-Headers", joinNames(headers))
	}
	r.facts.Requests++
	direct := *r.client // a browser does not follow a redirect of a preflight (Fetch, section 4.8)
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := direct.Do(req)
	if err != nil {
		p.Err = err
		return p
	}
	defer res.Body.Close()
	p.Status, p.Header = res.StatusCode, res.Header
	return p
}
