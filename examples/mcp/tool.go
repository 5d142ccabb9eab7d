package main

import (
	"context"
	"iter"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A tool yields how much of its work it has done, in percent, until ctx ends.
type tool func(ctx context.Context) iter.Seq2[int, error]

// report is a tool that takes three seconds.
func report(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		done := 0
		for range core.Every(ctx, 300*time.Millisecond) {
			if done += 10; !yield(done, nil) || done == 100 {
				return
			}
		}
		yield(0, context.Cause(ctx))
	}
}
