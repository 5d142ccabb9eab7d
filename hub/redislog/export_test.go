package redislog

import "time"

// SetBeat sets how often Redis is asked for a sign of life, before the first call of Watch.
func (r *Runs) SetBeat(d time.Duration) { r.hints.beat = d }
