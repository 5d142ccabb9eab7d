package client

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// longestWait bounds the wait that a server can ask for.
const longestWait = time.Hour

// wait returns how long to wait after this number of failures in a row: the
// reconnection time, or the server's Retry-After if that is longer, and a random part of
// a time that doubles with each failure.
func (c *config) wait(reconnect time.Duration, err error, failures int) time.Duration {
	reconnect = min(reconnect, longestWait)
	extra := max(reconnect, time.Millisecond)
	for i := 1; i < failures && extra < c.maxBackoff; i++ {
		extra *= 2
	}
	extra = min(extra, c.maxBackoff)
	return max(reconnect, min(retryAfter(err), longestWait)) + rand.N(extra+1) //nolint:gosec // no secret
}

// retryAfter returns the time in the Retry-After header of a response that was not a
// stream.
func retryAfter(err error) time.Duration {
	var refused *ResponseError
	if !errors.As(err, &refused) {
		return 0
	}
	value := refused.Header.Get("Retry-After")
	if s, err := strconv.ParseUint(value, 10, 63); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(s, uint64(longestWait/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if now, err := http.ParseTime(refused.Header.Get("Date")); err == nil {
		return at.Sub(now) // by the server's own clock
	}
	return time.Until(at)
}
