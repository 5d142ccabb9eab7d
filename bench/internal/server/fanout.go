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

// A fanOut sends what is published to all clients that are there.
type fanOut struct {
	subscribe http.Handler
	publish   publisher
	count     func() int // nil if it does not tell

	more map[string]http.Handler // that it answers besides
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

// Publish is the target that publishes n events whose data is of size bytes, rate
// a second or at full speed if rate is 0. It answers when it is done, with
// [Published] as JSON. The data begins with the time at which the event was
// published, as [SentAt] reads it.
func Publish(n, size, rate int) string {
	return fmt.Sprintf("/publish?n=%d&size=%d&rate=%d", n, size, rate)
}

// Published is what it took to publish.
type Published struct {
	LastID string        `json:"lastId"` // of the last event; it ends with a number
	P99    time.Duration `json:"p99"`    // how long one event took
	Max    time.Duration `json:"max"`
}

const stampLen = 19 // digits

// SentAt returns when an event with this data was published.
func SentAt(data []byte) (time.Time, error) {
	ns, err := strconv.ParseInt(string(data[:min(stampLen, len(data))]), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("server: the data begins with no time: %w", err)
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
		panic(http.ErrAbortHandler) // so that half an answer passes for none
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
