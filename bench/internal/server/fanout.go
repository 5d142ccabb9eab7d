package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

// A fanOut sends what is published to all clients.
type fanOut struct {
	subscribe http.Handler
	publish   publisher
	count     func() int // nil if the library cannot count its clients

	more map[string]http.Handler // other targets
}

func (f fanOut) serve(ln net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET "+Events, f.subscribe)
	mux.Handle("GET /publish", f.publish)
	mux.HandleFunc("GET "+Count, func(w http.ResponseWriter, _ *http.Request) {
		if f.count == nil {
			http.NotFound(w, nil)
			return
		}
		fmt.Fprint(w, f.count())
	})
	for path, h := range f.more {
		mux.Handle("GET "+path, h)
	}
	return serve(ln, mux)
}

// Publish is the target that publishes n events with size bytes of data each: rate events
// a second, or as many as possible if rate is 0. It answers when it is done, with
// [Published] as JSON. The data begins with the time at which the event was published,
// which [SentAt] reads.
func Publish(n, size, rate int) string {
	return fmt.Sprintf("/publish?n=%d&size=%d&rate=%d", n, size, rate)
}

// Published says how long publishing took.
type Published struct {
	LastID string        `json:"lastId"` // of the last event; it ends with a number
	P99    time.Duration `json:"p99"`    // of the times that single events took
	Max    time.Duration `json:"max"`
}

const stampLen = 19 // digits

// SentAt returns when an event with this data was published.
func SentAt(data []byte) (time.Time, error) {
	ns, err := strconv.ParseInt(string(data[:min(stampLen, len(data))]), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("server: the data does not begin with a time: %w", err)
	}
	return time.Unix(0, ns), nil
}

// A publisher publishes an event with this data, and returns its ID.
type publisher func(data string) (id string, err error)

func (publish publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := publish.run(setting(r, "n"), setting(r, "size"), setting(r, "rate"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if err := json.NewEncoder(w).Encode(p); err != nil {
		panic(http.ErrAbortHandler) // so that nobody mistakes half an answer for a whole one
	}
}

func setting(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.FormValue(name))
	return n
}

func (publish publisher) run(n, size, rate int) (p Published, err error) {
	took := make([]time.Duration, n)
	padding := strings.Repeat(".", max(size-stampLen, 0))
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range took {
		if rate > 0 {
			timer.Reset(time.Until(begin.Add(time.Second * time.Duration(i) / time.Duration(rate))))
			<-timer.C
		}
		now := time.Now()
		p.LastID, err = publish(strconv.FormatInt(now.UnixNano(), 10) + padding)
		if err != nil {
			return p, err
		}
		took[i] = time.Since(now)
	}
	p.P99, p.Max = stats.Quantile(took, 0.99), stats.Quantile(took, 1)
	return p, nil
}
