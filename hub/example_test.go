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
