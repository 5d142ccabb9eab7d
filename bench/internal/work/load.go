//go:build linux

package work

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

// DataSize is the size of the data of an event of 200 bytes, if its number has six digits.
const DataSize = 161

// quiet is how long nothing must arrive before the events that are missing count as
// lost.
const quiet = 2 * time.Second

// Burst reads a target's response to its end, which must have that many events, and
// returns what the server used for it.
func Burst(p *process.Process, target string, events int) (process.Usage, error) {
	return used(p, func() error { return reader.Drain(p.Addr, target, events) })
}

// used returns what a server uses while do runs.
func used(p *process.Process, do func() error) (process.Usage, error) {
	before, err := p.Usage()
	if err != nil {
		return process.Usage{}, err
	}
	if err := do(); err != nil {
		return process.Usage{}, err
	}
	after, err := p.Usage()
	return after.Sub(before), err
}

// anybody is a client that accepts any certificate.
var anybody = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}

// get requests something that is not a stream.
func get(p *process.Process, target string) ([]byte, error) {
	scheme := "http://"
	if speaks := server.Speaks(p.Name); speaks == server.TLS || speaks == server.HTTP2 {
		scheme = "https://"
	}
	url := scheme + p.Addr.String() + target
	resp, err := anybody.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("work: %s: %s", url, body)
	}
	return body, err
}

// Publish makes a server publish events.
func Publish(p *process.Process, events, dataSize, rate int) (got server.Published, err error) {
	body, err := get(p, server.Publish(events, dataSize, rate))
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal(body, &got)
}

// A crowd is connections that count what they receive: a [reader.Crowd] or [reader.Streams].
type crowd interface {
	Mark()
	Await(events int, quiet time.Duration) (delivered int, err error)
	Ended() int
	Close()
}

// An Audience is the subscribers of one server.
type Audience struct {
	server *process.Process
	size   int
	prompt bool
	crowd  crowd

	latencies []time.Duration
	stampErr  error
}

// Assemble connects subscribers to a server. If prompt, they are woken for each event
// and record its latency.
func Assemble(p *process.Process, size int, prompt bool) (*Audience, error) {
	a := newAudience(p, size, prompt)
	return a, a.assemble()
}

func newAudience(p *process.Process, size int, prompt bool) *Audience {
	return &Audience{server: p, size: size, prompt: prompt}
}

func (a *Audience) assemble() error {
	o := reader.CrowdOptions{Lazy: !a.prompt}
	if a.prompt {
		o.Data = func(data []byte, at time.Time) {
			sent, err := server.SentAt(data)
			if err != nil {
				a.stampErr = err
			}
			a.latencies = append(a.latencies, at.Sub(sent))
		}
	}
	crowd, err := a.connect(o)
	if err != nil {
		return err
	}
	a.crowd = crowd
	// Some servers answer before they have added the subscriber.
	const tries, pause = 20, 100 * time.Millisecond
	for range tries {
		a.crowd.Mark()
		if _, err := Publish(a.server, 1, DataSize, 0); err != nil {
			return errors.Join(err, a.Close())
		}
		got, err := a.crowd.Await(1, pause)
		if err != nil {
			return errors.Join(err, a.Close())
		}
		if got == a.size {
			return nil
		}
	}
	return errors.Join(errors.New("work: some subscribers get no events"), a.Close())
}

// connect opens the audience's connections.
func (a *Audience) connect(o reader.CrowdOptions) (crowd, error) {
	if speaks := server.Speaks(a.server.Name); speaks != server.Plain {
		return reader.OpenStreams("https://"+a.server.Addr.String()+server.Events, a.size, string(speaks))
	}
	return reader.OpenCrowd(a.server.Addr, a.size, server.Events, o)
}

// Close disconnects them.
func (a *Audience) Close() error {
	if a.crowd != nil {
		a.crowd.Close()
		a.crowd = nil
	}
	return nil
}

// Reached says what it took to reach an audience.
type Reached struct {
	process.Usage
	server.Published

	Delivered int           // deliveries that arrived
	Wanted    int           // deliveries that should have arrived
	Took      time.Duration // until all had arrived

	Latencies []time.Duration // of a prompt audience; valid until the next round
}

// Lost is the part of the deliveries that did not arrive, in percent.
func (r Reached) Lost() float64 {
	return 100 * float64(r.Wanted-r.Delivered) / float64(r.Wanted)
}

// ErrStuck means that a server did not publish all events in time.
var ErrStuck = errors.New("work: the server did not publish all events in time")

// Reach publishes events, and waits until each subscriber has received all of them or
// nothing more arrives.
func (a *Audience) Reach(events, dataSize, rate int) (r Reached, err error) {
	if a.crowd != nil && a.crowd.Ended() > 0 {
		_ = a.Close()
	}
	if a.crowd == nil {
		if err := a.assemble(); err != nil {
			return r, err
		}
	}
	a.crowd.Mark()
	a.latencies = a.latencies[:0]

	type answer struct {
		published server.Published
		err       error
	}
	done := make(chan answer, 1)
	begin := time.Now()
	r.Usage, err = used(a.server, func() error {
		go func() {
			p, err := Publish(a.server, events, dataSize, rate)
			done <- answer{p, err}
		}()
		var err error
		r.Delivered, err = a.crowd.Await(events, quiet)
		return err
	})
	r.Took, r.Wanted, r.Latencies = time.Since(begin), events*a.size, a.latencies
	if err == nil {
		err = a.stampErr
	}
	if err != nil {
		return r, err
	}
	wait := quiet
	if r.Delivered < r.Wanted {
		wait = quiet / 20 // Await has waited already
	}
	select {
	case got := <-done:
		r.Published, err = got.published, got.err
	case <-time.After(wait):
		err = ErrStuck
	}
	return r, err
}

// Fill makes a server publish as many events as it holds, and returns the last one's
// ID.
func Fill(p *process.Process) (last string, err error) {
	published, err := Publish(p, server.Held, DataSize, 0)
	return published.LastID, err
}

// Before returns the ID of a client that has missed that many events.
func Before(last string, missed int) (id string, err error) {
	prefix, digits := "", last
	if i := strings.LastIndexByte(digits, '-'); i >= 0 {
		prefix, digits = digits[:i+1], digits[i+1:]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return "", fmt.Errorf("work: the last ID is %q: %w", last, err)
	}
	if digits[0] == '0' { // IDs that are sorted as strings
		return fmt.Sprintf("%s%0*d", prefix, len(digits), n-missed), nil
	}
	return prefix + strconv.Itoa(n-missed), nil
}
