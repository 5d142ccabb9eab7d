package reader

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// A State says what a remote crowd has received.
type State struct {
	Open     int // connections that the server has not ended
	Comments int // since the connections were opened
	Reached  int // connections with an event since the last Mark
}

// Add returns the sum of two crowds.
func (s State) Add(t State) State {
	return State{s.Open + t.Open, s.Comments + t.Comments, s.Reached + t.Reached}
}

// A crowdServer reads its crowd all the time, except while it answers a request.
type crowdServer struct {
	sentAt func(data []byte) (time.Time, error)

	mu        sync.Mutex
	crowd     *Crowd
	latencies []time.Duration // since the last Mark
	err       error
}

// ServeCrowd holds a crowd for another process, because each process has a limit on open
// files. sentAt returns when an event with this data was sent.
func ServeCrowd(ln net.Listener, sentAt func(data []byte) (time.Time, error)) error {
	s := &crowdServer{sentAt: sentAt}
	if err := s.empty(); err != nil {
		return err
	}
	go s.read()
	mux := http.NewServeMux()
	s.handle(mux, "open", s.open)
	s.handle(mux, "state", func(url.Values) (any, error) {
		c := s.crowd
		return State{Open: len(c.conns) - c.Ended(), Comments: c.Comments(), Reached: c.Reached()}, nil
	})
	s.handle(mux, "mark", func(url.Values) (any, error) {
		s.crowd.Mark()
		s.latencies = s.latencies[:0]
		return nil, nil
	})
	s.handle(mux, "latencies", func(url.Values) (any, error) { return s.latencies, nil })
	s.handle(mux, "close", func(url.Values) (any, error) {
		s.crowd.Close()
		return nil, s.empty()
	})
	return (&http.Server{Handler: mux}).Serve(ln)
}

func (s *crowdServer) handle(mux *http.ServeMux, name string, do func(url.Values) (any, error)) {
	mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		answer, err := any(nil), s.err
		if err == nil {
			answer, err = do(r.URL.Query())
		}
		if err == nil && answer != nil {
			err = json.NewEncoder(w).Encode(answer)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

func (s *crowdServer) empty() (err error) {
	s.crowd, err = NewCrowd(CrowdOptions{Data: func(data []byte, at time.Time) {
		sent, err := s.sentAt(data)
		if err != nil {
			s.err = err
		}
		s.latencies = append(s.latencies, at.Sub(sent))
	}})
	return err
}

func (s *crowdServer) open(q url.Values) (any, error) {
	addr, err := netip.ParseAddrPort(q.Get("addr"))
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil {
		return nil, err
	}
	return nil, s.crowd.Open(addr, n, q.Get("target"))
}

func (s *crowdServer) read() {
	const turn = 25 * time.Millisecond // a request waits for it
	for s.readFor(turn) {
	}
}

func (s *crowdServer) readFor(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.crowd.ReadFor(d); err != nil {
		s.err = err
	}
	return s.err == nil
}

// A RemoteCrowd is a crowd that [ServeCrowd] holds in another process, where all that
// arrives is read at once.
type RemoteCrowd struct {
	Addr netip.AddrPort
}

// Open calls [Crowd.Open].
func (c RemoteCrowd) Open(addr netip.AddrPort, n int, target string) error {
	return c.ask("open?"+url.Values{"addr": {addr.String()}, "n": {strconv.Itoa(n)}, "target": {target}}.Encode(), nil)
}

// State says what has arrived so far.
func (c RemoteCrowd) State() (s State, err error) { return s, c.ask("state", &s) }

// Mark makes State and Latencies forget the events that have arrived.
func (c RemoteCrowd) Mark() error { return c.ask("mark", nil) }

// Latencies returns those of all events since the last Mark.
func (c RemoteCrowd) Latencies() (all []time.Duration, err error) {
	return all, c.ask("latencies", &all)
}

// Close calls [Crowd.Close]. The crowd can be opened again.
func (c RemoteCrowd) Close() error { return c.ask("close", nil) }

func (c RemoteCrowd) ask(what string, answer any) error {
	resp, err := http.Post("http://"+c.Addr.String()+"/"+what, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		message, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("reader: %s: %s", resp.Status, message)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
