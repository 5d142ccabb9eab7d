package check

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
	"github.com/yieldsse/yieldsse/core"
)

const (
	maxSeen   = 16   // events that are kept, of the first and of the last
	maxBursts = 4096 // bursts that are kept

	// Bytes that come within this time after others belong to the same burst.
	burstGap = 20 * time.Millisecond
)

var seed = maphash.MakeSeed()

// A plan says how one exchange is made.
type plan struct {
	lastID  string        // to resume from
	answer  time.Duration // how long the headers may take
	watch   time.Duration // how long to read, from the request on, but at least for least
	enough  func(*Exchange) bool
	counter *atomic.Int64 // of events, to show the progress
	gzip    bool          // accept compression, and read only a compressed body
}

// least is the shortest time for reading after the headers.
const least = time.Second

var errTimeUp = errors.New("check: the time is up")

// exchange sends the request and reads the response if it is a stream.
func (r *runner) exchange(ctx context.Context, p plan) *Exchange {
	r.facts.Requests++
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := new(Exchange)
	req, err := r.request(ctx, p)
	if err != nil {
		e.Err = err
		return e
	}

	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	start := time.Now()
	timer := time.AfterFunc(p.answer, func() { cancel(errTimeUp) })
	defer timer.Stop()
	res, err := r.client.Do(req)
	e.Watched = time.Since(start)
	if res == nil {
		e.Err = err
		switch cause := context.Cause(ctx); {
		case cause == nil:
		case errors.Is(cause, errTimeUp) && !connected.Load():
			e.Err = fmt.Errorf("cannot connect to %s within %s", req.URL.Host, words.Duration(e.Watched))
		default:
			e.Err = cause
		}
		return e
	}
	defer res.Body.Close()
	timer.Reset(max(p.watch-e.Watched, least))

	e.Headers = e.Watched
	e.Status, e.Proto, e.ProtoMajor, e.Header = res.StatusCode, res.Proto, res.ProtoMajor, res.Header
	e.TLS = res.TLS != nil
	e.ContentLength, e.TransferEncoding = res.ContentLength, res.TransferEncoding
	e.URL = req.URL.String()
	if res.Request != nil {
		e.URL = res.Request.URL.String()
	}
	body := io.Reader(res.Body)
	switch {
	case err != nil:
		e.Redirects = errors.Unwrap(err)
		return e
	case e.Status != http.StatusOK || !isEventStream(e.Header):
		return e
	case p.gzip && e.Header.Get("Content-Encoding") == "gzip":
		body = &gunzip{from: body}
	case p.gzip || compressed(e.Header):
		return e
	}
	e.read(ctx, &recorder{e: e, from: body, start: start}, p)
	return e
}

func (r *runner) request(ctx context.Context, p plan) (*http.Request, error) {
	req := r.req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	for _, h := range [][2]string{{"Accept", "text/event-stream"}, {"Cache-Control", "no-cache"}} {
		if _, own := req.Header[h[0]]; !own {
			req.Header.Set(h[0], h[1])
		}
	}
	req.Header.Set("Accept-Encoding", "identity")
	if p.gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if r.facts.Origin != "" {
		req.Header.Set("Origin", r.facts.Origin)
	}
	if p.lastID != "" {
		req.Header.Set("Last-Event-ID", p.lastID)
	}
	return req, nil
}

// read reads the stream to its end, or until everything is known.
func (e *Exchange) read(ctx context.Context, rec *recorder, p plan) {
	var last time.Duration // when the previous event came
	lastType := ""
	e.End = Clean
	var parser core.Parser
	for ev, err := range parser.Read(rec) {
		if err != nil {
			e.fail(ctx, err)
			break
		}
		if e.Events++; e.Events == 1 {
			e.FirstEvent = rec.at
		}
		e.Pause = max(e.Pause, rec.at-last)
		last = rec.at
		if n := len(e.Bursts); n > 0 {
			e.Bursts[n-1].Events++
		}
		if e.Tally++; ev.Type != lastType {
			lastType, e.Tally = ev.Type, 1
		}
		e.keep(Seen{ID: e.Wire.nextID(), Type: ev.Type, Print: fingerprint(ev), Done: ev.Data == "[DONE]"})
		if p.counter != nil {
			p.counter.Add(1)
		}
		if p.enough != nil && p.enough(e) {
			e.End = Enough
			break
		}
	}
	e.Watched = time.Since(rec.start)
	e.LastID = parser.LastEventID
	if e.End == Clean {
		_ = e.Wire.Close()
	} else {
		e.Silence = max(e.Silence, e.Watched-rec.at)
	}
}

func (e *Exchange) fail(ctx context.Context, err error) {
	switch {
	case errors.Is(context.Cause(ctx), errTimeUp):
		e.End = TimeUp
	case errors.Is(err, core.ErrEventTooLarge):
		e.End = TooLarge
	case errors.Is(err, core.ErrNotStream):
		e.End = Clean
		if e.Wire.open {
			e.Wire.endLine() // the last line may have no end
		}
	default:
		e.End, e.EndErr = Broken, err
		if inner := errors.Unwrap(err); inner != nil {
			e.EndErr = inner // without the parser's name
		}
	}
}

func (e *Exchange) keep(s Seen) {
	e.IDs.add(s.ID)
	if len(s.ID) > maxID {
		s.ID = "" // a client could not send it
	}
	if len(e.Head) < maxSeen {
		e.Head = append(e.Head, s)
	}
	if e.Tail = append(e.Tail, s); len(e.Tail) > maxSeen {
		e.Tail = append(e.Tail[:0], e.Tail[1:]...)
	}
}

func fingerprint(e core.Event) uint64 {
	return maphash.Comparable(seed, [2]string{e.Type, e.Data})
}

// A recorder records when bytes arrive, and passes them to the Wire.
type recorder struct {
	e     *Exchange
	from  io.Reader
	start time.Time
	at    time.Duration // of the last bytes, or of the request
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if n > 0 {
		r.record(p[:n], time.Since(r.start))
	}
	return n, err //nolint:wrapcheck // io.EOF must stay as it is
}

func (r *recorder) record(p []byte, now time.Duration) {
	e := r.e
	silence := now - r.at
	r.at = now
	if e.Bytes == 0 {
		e.FirstByte = now
	}
	e.Silence = max(e.Silence, silence)
	if b := e.Bursts; len(b) == 0 || silence >= burstGap && len(b) < maxBursts {
		e.Bursts = append(e.Bursts, Burst{At: now})
	}
	e.Bytes += int64(len(p))
	_, _ = e.Wire.Write(p)
	b := &e.Bursts[len(e.Bursts)-1]
	b.Bytes += int64(len(p))
	b.Until = now
	b.Inside = e.Wire.inEvent()
}

// A gunzip decompresses bytes as they arrive.
type gunzip struct {
	from io.Reader
	z    *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.z == nil {
		z, err := gzip.NewReader(g.from)
		if err != nil {
			return 0, err
		}
		g.z = z
	}
	return g.z.Read(p)
}
