package redislog

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	mostEntries = 512     // entries that are read at once
	mostBytes   = 1 << 20 // about how many bytes of them
)

// A batch is how many entries are read at once: fewer when they are large, or when the
// link is too slow for so many.
type batch struct {
	size  atomic.Int64
	quick time.Duration // the size does not grow after reads that take longer
}

func (b *batch) init(readTimeout time.Duration) {
	limit := patience
	if readTimeout > 0 {
		limit = min(limit, readTimeout)
	}
	b.size.Store(mostEntries)
	b.quick = limit / 4 //nolint:mnd // twice as many would still come in half the limit
}

// An attempt is a read of up to n entries.
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

// end adjusts the size of later attempts to what has come. Of attempts at the same time only
// one counts.
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
