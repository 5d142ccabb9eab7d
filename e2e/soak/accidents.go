package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"
)

// accidents restarts servers, kills the log and resets all readers, one at a time, until abuse
// ends, but each at least once.
func (s *soak) accidents(ctx, abuse context.Context) {
	random := s.random(201)
	const each = 4
	for n := 0; ctx.Err() == nil && (n < each || abuse.Err() == nil); n++ {
		select {
		case <-time.After(s.pause/2 + time.Duration(random.Int64N(int64(max(s.pause, 1))))):
		case <-abuse.Done():
			if n >= each {
				return
			}
		}
		switch n % each {
		case 0:
			s.restartLog(ctx, random)
		case 1:
			s.restart(random, syscall.SIGKILL, &s.result.Killed)
		case 2:
			s.restart(random, syscall.SIGTERM, &s.result.Left)
		case 3:
			s.result.Herds++
			s.readings.reset()
		}
	}
}

// restartLog kills the log, and starts it again after a while.
func (s *soak) restartLog(ctx context.Context, random *rand.Rand) {
	if s.redis == nil {
		return
	}
	s.result.Logs++
	s.redis.kill()
	<-time.After(time.Duration(random.Int64N(int64(2 * time.Second))))
	s.fail(s.redis.start(context.WithoutCancel(ctx)))
}

// restart restarts one of the servers, except the first.
func (s *soak) restart(random *rand.Rand, signal syscall.Signal, count *int) {
	if len(s.fleet) < 2 {
		return
	}
	p := oneOf(random, s.fleet[1:]...)
	*count++
	s.fail(p.stop(signal))
	s.fail(p.start())
}
