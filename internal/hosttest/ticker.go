package hosttest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// Ticker tests the stream at base + "/stream" that the small examples serve, one for each
// framework.
func Ticker(t *testing.T, base string) {
	t.Helper()
	tests := []struct {
		name, lastEventID, want string
	}{
		{"the first connection", "", "1"},
		{"a reconnection", "41", "42"},
		{"an ID that is not a number", "x", "1"},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	bodies := make([]io.Reader, len(tests))
	for i, test := range tests { // before any of them is read, so that their waits coincide
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/stream?user_id=%E7%94%A8%E6%88%B7", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", test.lastEventID)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		bodies[i] = res.Body
		t.Cleanup(func() { _ = res.Body.Close() })
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for event, err := range core.Read(bodies[i]) {
				if err != nil {
					t.Fatal(err)
				}
				if event.ID != test.want || event.Type != "add" {
					t.Errorf("got ID %q and type %q, want %q and %q", event.ID, event.Type, test.want, "add")
				}
				var message []string
				err = json.Unmarshal([]byte(event.Data), &message)
				if err != nil || len(message) != 2 || !strings.HasPrefix(message[0], "当前时间: ") || message[1] != "用户" {
					t.Errorf("got data %s (%v), want the time and the user", event.Data, err)
				}
				return
			}
			t.Error("got the end of the stream, want an event")
		})
	}
}
