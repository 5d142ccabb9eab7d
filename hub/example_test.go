package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func Example() {
	var room hub.Hub
	server := httptest.NewServer(nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return room.SubscribeFrom(r.Context(), hub.Oldest, "chat")
	}))
	defer server.Close()

	ctx := context.Background()
	_, _ = room.Publish(ctx, "chat", core.Event{Data: "Hello?"})
	second, _ := room.Publish(ctx, "chat", core.Event{Data: "Hello!"})
	_, _ = room.Publish(ctx, "chat", core.Event{Data: "How are you?"})

	listen := func(lastEventID string) {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		r.Header.Set("Last-Event-ID", lastEventID)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		for e, err := range core.Read(resp.Body) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(e.Data)
			if e.Data == "How are you?" {
				break
			}
		}
	}
	listen("")
	fmt.Println("and again:")
	listen(second)
	// Output:
	// Hello?
	// Hello!
	// How are you?
	// and again:
	// How are you?
}

// Only the last price of each share counts.
func ExampleWithKey() {
	h := hub.New()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	prices := h.Subscribe(ctx, "prices.*")
	for _, price := range []string{"10", "11", "12"} {
		_, _ = h.Publish(ctx, "prices.acme", core.Event{Data: "acme " + price}, hub.WithKey("acme"))
		_, _ = h.Publish(ctx, "prices.bolt", core.Event{Data: "bolt " + price}, hub.WithKey("bolt"))
	}
	for e, err := range prices {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		if e.Data == "bolt 12" {
			break
		}
	}
	// Output:
	// acme 12
	// bolt 12
}

// A client is sent the state first, and then each change.
func ExampleWithState() {
	h := hub.New()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	state := func(yield func(core.Event, error) bool) {
		_ = yield(core.Event{Data: "clear"}, nil) && yield(core.Event{Data: "acme 10"}, nil)
	}
	for e, err := range h.SubscribeWith(ctx, []string{"prices"}, hub.WithState(state)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		if e.Data == "acme 11" {
			break
		}
		if e.ID != "" { // the end of the state
			_, _ = h.Publish(ctx, "prices", core.Event{Data: "acme 11"})
		}
	}
	// Output:
	// clear
	// acme 10
	// acme 11
}

// Each client gets only the orders of its region.
func ExampleWithFilter() {
	h := hub.New()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	orders := h.SubscribeWith(ctx, []string{"orders"}, hub.WithFilter(func(_ string, a hub.Attributes) bool {
		return a["region"] == "eu"
	}))
	for _, region := range []string{"us", "eu"} {
		_, _ = h.Publish(ctx, "orders", core.Event{Data: "an order from " + region},
			hub.WithAttributes(hub.Attributes{"region": region}))
	}
	for e, err := range orders {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		break
	}
	// Output:
	// an order from eu
}

// An order and its customer each have a topic. A client of both gets the event once.
func ExampleWithTopics() {
	h := hub.New()
	ctx := context.Background()
	_, _ = h.Publish(ctx, "order.1207", core.Event{Data: "paid"}, hub.WithTopics("customer.5"))
	_ = h.Finish(nil)
	for _, topics := range [][]string{{"order.1207"}, {"customer.*"}, {"order.1207", "customer.5"}} {
		for e, err := range h.SubscribeFrom(ctx, hub.Oldest, topics...) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(topics, e.Data)
		}
	}
	// Output:
	// [order.1207] paid
	// [customer.*] paid
	// [order.1207 customer.5] paid
}

// Values instead of events.
func ExampleTopic() {
	type Price struct {
		Share string
		Price float64
	}
	prices := hub.Topic[Price]{Hub: hub.New(), Name: "prices"}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	values := prices.Subscribe(ctx)
	_, _ = prices.Publish(ctx, Price{"ACME", 12.5})
	for p, err := range values {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.Share, p.Price)
		break
	}
	// Output:
	// ACME 12.5
}

// Numbers for metrics.
func ExampleHub_Stats() {
	h := hub.New(hub.WithMaxEvents(2))
	for _, price := range []string{"10", "11", "12"} {
		_, _ = h.Publish(context.Background(), "acme", core.Event{Data: price})
	}
	s := h.Stats()
	fmt.Println(s.Published, "published,", s.Events, "in memory,", s.Dropped, "dropped,", s.Topics, "topic")
	// Output:
	// 3 published, 2 in memory, 1 dropped, 1 topic
}
