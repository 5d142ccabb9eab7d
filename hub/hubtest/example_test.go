package hubtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

// What a program does when its log fails can be tested without a server.
func ExampleMemoryLog() {
	var log hubtest.MemoryLog
	one, other := hub.New(hub.WithLog(&log)), hub.New(hub.WithLog(&log)) // as two processes would
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer other.Shutdown(ctx)
	defer one.Shutdown(ctx)

	publish := func(text string) {
		if _, err := one.Publish(ctx, "news", core.Event{Data: text}); err != nil {
			fmt.Println(err)
		}
	}
	publish("Good morning")
	log.Fail(errors.New("the network is down"))
	publish("Can you hear me?")
	log.Fail(nil)
	publish("Here we are again")

	for e, err := range other.SubscribeFrom(ctx, hub.Oldest, "news") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		if e.Data == "Here we are again" {
			break
		}
	}
	// Output:
	// hub: publish to "news": the network is down
	// Good morning
	// Here we are again
}
