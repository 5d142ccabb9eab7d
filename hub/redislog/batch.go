package redislog

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	mostEntries = 512     // that are read at once
	mostBytes   = 1 << 20 // of them, about
)

// A batch is how many entries are read at once: fewer when they are large, or the
// link is too slow for so many.
type batch struct {
	size  atomic.Int64
	quick time.Duration // what takes longer is not tried with more
}

func (b *batch) init(readTimeout time.Duration) {
	limit := patience
	if readTimeout > 0 {
		limit = min(limit, readTimeout)
	}
	b.size.Store(mostEntries)
	b.quick = limit / 4 //nolint:mnd // twice as many still come in half of it
}

// An attempt is to read n entries.
type attempt struct {
	*batch

	n     int
	size  int64
	began time.Time
}

// begin returns an attempt to read n entries, or fewer.
func (b *batch) begin(n int) attempt {
	size := b.size.Load()
	return attempt{b, min(n, int(size)), size, time.Now()}
}

// end has later attempts learn from what has come. Of several at once, one counts.
func (a attempt) end(messages []redis.XMessage, err error) {
	bytes := 0
	for _, m := range messages {
		data, _ := m.Values[fieldData].(string)
		bytes += len(data)
	}
	got := len(messages)
	switch {
	case a.n == 0:
	case timedOut(err):
		a.batch.size.CompareAndSwap(a.size, int64(max(a.n/2, 1))) //nolint:mnd // a half
	case bytes > mostBytes:
		a.batch.size.CompareAndSwap(a.size, int64(max(got*mostBytes/bytes, 1)))
	case int64(got) >= a.size && bytes <= mostBytes/2 && time.Since(a.began) < a.quick:
		a.batch.size.CompareAndSwap(a.size, min(2*a.size, mostEntries)) //nolint:mnd // twice
	}
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(reveal(err), &timeout) && timeout.Timeout()
}
