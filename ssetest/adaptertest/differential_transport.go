package adaptertest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// A transportEnd is a client whose transport speaks its protocol.
type transportEnd struct {
	io.Closer

	cancel context.CancelFunc
}

func (c transportEnd) drop() { _ = c.Close() }

func (c transportEnd) leave(how string) {
	if how == leavesRST {
		c.cancel()
	} else {
		c.drop()
	}
}

// talkTransport sends the request with the mount's transport. It returns nil if the
// response ends as it should.
func (r *trial) talkTransport() error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*r.limit) // reached only if something hangs
	defer cancel()
	r.update(func() { r.conn = transportEnd{r.site.Transport, cancel} })
	var body io.Reader
	if r.Client.Method == http.MethodPost {
		body = &parts{r: r, ctx: ctx}
	}
	req, err := http.NewRequestWithContext(ctx, r.Client.Method, "https://"+r.addr+r.target(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "identity") // otherwise the transport asks for gzip, and decodes it
	if r.Client.Gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if r.LastEventID != "" {
		req.Header.Set("Last-Event-ID", r.LastEventID)
	}
	res, err := r.site.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { cancel(); _ = res.Body.Close() }() // Close may wait for the request's body
	r.begins(res.StatusCode, res.Header)
	r.stall()
	if res.StatusCode != http.StatusOK {
		_, err := io.Copy(io.Discard, res.Body)
		return err
	}
	return r.readRest(res.Body)
}

// parts is a request's body, which comes in five parts.
type parts struct {
	r    *trial
	ctx  context.Context //nolint:containedctx // the request's
	sent int
}

func (p *parts) Read(b []byte) (int, error) {
	switch {
	case p.r.Client.Body == bodyStalls && p.sent == 5*p.r.Client.Cut/stallSize:
		<-p.ctx.Done()
		return 0, context.Cause(p.ctx)
	case p.sent == 5:
		return 0, io.EOF
	case p.r.Client.Body == bodyLate:
		p.r.pause(time.Millisecond)
	}
	p.sent++
	return copy(b, strings.Repeat("b", 1000)), nil
}
