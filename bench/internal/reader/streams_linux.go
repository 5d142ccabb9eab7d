package reader

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// Streams are responses that Go's own client reads, with a goroutine for each: what a Crowd is
// for HTTP/1.1 without TLS. They cost much more than a Crowd, but that is not the server's.
type Streams struct {
	transports []transport
	all        []*stream
	reading    sync.WaitGroup
	failed     atomic.Pointer[error]
	last       atomic.Int64 // when something arrived, in ns
}

type stream struct {
	body   io.ReadCloser
	events atomic.Int64
	ended  atomic.Bool
	base   int64
}

// streamsOfConn is how many streams share a connection of HTTP/2 or HTTP/3.
const streamsOfConn = 100

// streamBuf is how many bytes a stream reads at most: as many as a record of TLS has.
const streamBuf = 16 << 10

// OpenStreams asks n times for url, over "tls" (HTTP/1.1), "http2" or "http3", and accepts any
// certificate. It returns when each has the head of its response.
func OpenStreams(url string, n int, protocol string) (*Streams, error) {
	s := new(Streams)
	for i := range n {
		if i == 0 || protocol != "tls" && i%streamsOfConn == 0 {
			s.transports = append(s.transports, newTransport(protocol))
		}
		if err := s.open(url, s.transports[len(s.transports)-1]); err != nil {
			s.Close()
			return nil, fmt.Errorf("reader: stream %d: %w", i, err)
		}
	}
	return s, nil
}

type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

func newTransport(protocol string) transport {
	anybody := &tls.Config{InsecureSkipVerify: true}
	if protocol == "http3" {
		return &http3.Transport{TLSClientConfig: anybody, DisableCompression: true}
	}
	t := &http.Transport{
		TLSClientConfig:       anybody,
		Protocols:             new(http.Protocols),
		ResponseHeaderTimeout: patience * time.Second,
		DisableCompression:    true,
	}
	t.Protocols.SetHTTP1(protocol == "tls")
	t.Protocols.SetHTTP2(protocol == "http2")
	return t
}

func (s *Streams) open(url string, t transport) error {
	resp, err := (&http.Client{Transport: t}).Get(url)
	if err != nil {
		return err
	}
	one := &stream{body: resp.Body}
	s.all = append(s.all, one)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	s.reading.Go(func() {
		defer one.ended.Store(true)
		var c Counter
		for buf := make([]byte, streamBuf); ; {
			n, err := resp.Body.Read(buf)
			if n > 0 {
				s.last.Store(time.Now().UnixNano())
				if err := c.body(buf[:n]); err != nil {
					s.failed.CompareAndSwap(nil, &err)
					return
				}
				one.events.Store(int64(c.Events))
			}
			if err != nil {
				return
			}
		}
	})
	return nil
}

// Mark makes [Streams.Await] count events from here.
func (s *Streams) Mark() {
	for _, one := range s.all {
		one.base = one.events.Load()
	}
}

// Await does what [Crowd.Await] does.
func (s *Streams) Await(events int, quiet time.Duration) (delivered int, err error) {
	s.last.Store(time.Now().UnixNano())
	for pause := time.NewTicker(time.Millisecond); ; <-pause.C {
		if err := s.failed.Load(); err != nil {
			return 0, *err
		}
		delivered, missing := 0, false
		for i, one := range s.all {
			got := int(one.events.Load() - one.base)
			if got > events {
				return 0, fmt.Errorf("reader: stream %d got %d events, want %d", i, got, events)
			}
			delivered += got
			missing = missing || got < events && !one.ended.Load()
		}
		if !missing || time.Since(time.Unix(0, s.last.Load())) > quiet {
			return delivered, nil
		}
	}
}

// Ended returns how many responses have ended.
func (s *Streams) Ended() (n int) {
	for _, one := range s.all {
		if one.ended.Load() {
			n++
		}
	}
	return n
}

// Close ends the requests, and waits until nobody reads any more.
func (s *Streams) Close() {
	for _, one := range s.all {
		_ = one.body.Close()
	}
	s.reading.Wait()
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}
