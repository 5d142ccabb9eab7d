package runtest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// What clients are told when a process dies can be tested without a server.
func ExampleMemory() {
	var store runtest.Memory
	link := runtest.NewLink(&store)
	one := run.New(run.WithStore(link), run.WithLease(time.Second)) // as two processes would
	other := run.New(run.WithStore(&store))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	one.Start(ctx, "7", func(ctx context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "To be"}, nil) {
				<-ctx.Done()
			}
		}
	})
	for e, err := range other.Attach(ctx, "7") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		link.Cut() // the process has died, as far as others can tell
	}
	// Output:
	// To be
	// run: the run was lost
}
