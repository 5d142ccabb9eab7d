package client_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A redirect to another host takes neither the password nor the cookies along, and the next
// request goes to the URL that the caller has named, with both. Headers that net/http does not
// know as credentials go along.
func TestRedirectLeavesCredentials(t *testing.T) {
	var asked []string
	req := get(t, "https://one.example/")
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key"} {
		req.Header.Set(name, "x")
	}
	events, err := collect(t, client.Stream(req, soon(), client.WithLastEventID("7"), inMemory(func(r *http.Request) (*http.Response, error) {
		said := r.URL.Host
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Last-Event-ID"} {
			if r.Header.Get(name) != "" {
				said += " " + name
			}
		}
		asked = append(asked, said)
		switch {
		case len(asked) > 2:
			return response(http.StatusNoContent, http.NoBody), nil
		case r.URL.Host == "one.example":
			return response(http.StatusFound, http.NoBody, "Location", "https://two.example/"), nil
		default:
			return response(http.StatusOK, strings.NewReader("data: x\n\n")), nil
		}
	})))
	wantErr(t, err, client.ErrStopped)
	ssetest.Equal(t, events, []core.Event{{ID: "7", Data: "x"}})
	const all = "one.example Authorization Cookie X-Api-Key Last-Event-ID"
	if got, want := strings.Join(asked, ", "), all+", two.example X-Api-Key Last-Event-ID, "+all; got != want {
		t.Errorf("got requests to %s, want %s", got, want)
	}
}
