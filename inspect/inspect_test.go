package inspect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/inspect"
	"github.com/yieldsse/yieldsse/run"
)

func anybody(*http.Request) bool { return true }

// byKey is the key of sessions: the user of their request's path.
func byKey(ctx context.Context) string {
	_, key, _ := strings.Cut(core.RequestOf(ctx).Path, "@")
	return key
}

// enter makes a session, which has not begun its response.
func enter(t testing.TB, g *core.Group, r core.Request) {
	t.Helper()
	s, err := host.NewSession(t.Context(), r, core.WithGroup(g))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(nil) })
}

// ask returns a handler's answer.
func ask(t testing.TB, h http.Handler, method, url string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A report is what tests read of the JSON.
type report struct {
	Sessions table `json:"sessions"`
	Topics   table `json:"topics"`
}

type table struct {
	Total    int `json:"total"`
	Matching int `json:"matching"`
	Rows     []struct {
		ID   uint64   `json:"id"`
		Key  string   `json:"key"`
		Hub  string   `json:"hub"`
		Name string   `json:"name"`
		Rate *float64 `json:"rate"`
	} `json:"rows"`
}

// words are the keys or names of the rows.
func (t table) words() string {
	words := []string{fmt.Sprintf("%d/%d:", t.Matching, t.Total)}
	for _, row := range t.Rows {
		word := row.Key
		if row.Name != "" {
			word = row.Hub + "/" + row.Name
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func reportOf(t testing.TB, h http.Handler, query string) (r report) {
	t.Helper()
	w := ask(t, h, http.MethodGet, "/inspect?"+query)
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != 200 {
		t.Fatalf("%s: got %d %q (%v), want JSON", query, w.Code, w.Body, err)
	}
	return r
}

// Without Authorize nobody sees anything, and with it only those whom it lets in.
func TestAuthorization(t *testing.T) {
	nobody := &inspect.Handler{Authorize: func(*http.Request) bool { return false }}
	for _, tt := range []struct {
		name string
		h    http.Handler
		want string
	}{
		{"the zero Handler", new(inspect.Handler), "set Handler.Authorize"},
		{"a Handler that lets nobody in", nobody, "you may not see this"},
	} {
		for _, accept := range []string{"", "text/html", "text/event-stream", "application/json"} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
				w := ask(t, tt.h, method, "/inspect?end=1", "Accept", accept)
				if w.Code != 403 || !strings.Contains(w.Body.String(), tt.want) {
					t.Errorf("%s, %s %s: got %d %q, want 403 and %q", tt.name, method, accept, w.Code, w.Body, tt.want)
				}
			}
		}
	}
}

func TestRequests(t *testing.T) {
	var g core.Group
	enter(t, &g, core.Request{Path: "/x"})
	h := &inspect.Handler{Authorize: anybody, Groups: map[string]*core.Group{"g": &g}}
	id := strconv.FormatUint(reportOf(t, h, "").Sessions.Rows[0].ID, 10)
	for _, tt := range []struct {
		name, method, url string
		header            []string
		status            int
		want              string
	}{
		{"the page", "GET", "/", []string{"Accept", "text/html,*/*;q=0.8"}, 200, "<!doctype html>"},
		{"JSON", "GET", "/any/path", []string{"Accept", "*/*"}, 200, `"total":1`},
		{"n is not a number", "GET", "/?n=x", nil, 400, `n is "x": give a number of rows from 0 to 1000`},
		{"n is too large", "GET", "/?n=1001", nil, 400, "from 0 to 1000"},
		{"n is negative", "GET", "/?n=-1", nil, 400, "from 0 to 1000"},
		{"no such order", "GET", "/?sort=-size", nil, 400, `sort is "-size": name one of behindSeconds, bytes, events, group, id, key,`},
		{"no such order of topics", "GET", "/?topics=id", nil, 400, "behind, held, hub, name, published, rate, subscriptions"},
		{"no such order, live", "GET", "/?sort=x", []string{"Accept", "text/event-stream"}, 400, `sort is "x"`},
		{"another method", "DELETE", "/?end=" + id, nil, 405, "POST ends a session"},
		{"no ID", "POST", "/", nil, 400, "the ID of a session"},
		{"an ID that is not a number", "POST", "/?end=x", nil, 400, "the ID of a session"},
		{"an ID of nobody", "POST", "/?end=18446744073709551615", nil, 404, "no such session"},
		{"another site", "POST", "/?end=" + id, []string{"Sec-Fetch-Site", "cross-site"}, 403, "another origin"},
		{"a sister site", "POST", "/?end=" + id, []string{"Sec-Fetch-Site", "same-site"}, 403, "another origin"},
		{"another origin", "POST", "/?end=" + id, []string{"Origin", "https://evil.example"}, 403, "another origin"},
		{"the same origin", "POST", "/?end=" + id, []string{"Sec-Fetch-Site", "same-origin"}, 204, ""},
	} {
		w := ask(t, h, tt.method, tt.url, tt.header...)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, w.Code, w.Body, tt.status, tt.want)
		}
		if got, want := w.Header().Get("Allow") != "", tt.status == 405; got != want {
			t.Errorf("%s: got the header Allow: %v, want %v", tt.name, got, want)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: got Cache-Control %q, want no-store", tt.name, got)
		}
	}
}

// The page runs no script but its own, and no other page may frame it.
func TestPolicy(t *testing.T) {
	policy := ask(t, &inspect.Handler{Authorize: anybody}, "GET", "/", "Accept", "text/html").Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "script-src 'sha256-", "style-src 'sha256-"} {
		if !strings.Contains(policy, want) {
			t.Errorf("got the policy %q, want %q in it", policy, want)
		}
	}
}

func TestFilterAndSort(t *testing.T) {
	groups := map[string]*core.Group{"chat": {Key: byKey}, "prices": {Key: byKey}}
	for _, r := range []core.Request{
		{Method: "GET", Path: "/rooms/1@ann", RemoteAddr: "10.0.0.9:1"},
		{Method: "POST", Path: "/rooms/2@Bob", Route: "/rooms/:id", RemoteAddr: "10.0.0.8:1"},
		{Method: "GET", Path: "/rooms/3@cid", RemoteAddr: "10.0.0.7:1"},
	} {
		enter(t, groups["chat"], r)
	}
	enter(t, groups["prices"], core.Request{Method: "GET", Path: "/btc@dan", RemoteAddr: "10.0.0.7:2"})
	var h1, h2 hub.Hub
	for i, topic := range []string{"a.x", "a.x", "a.x", "b.x", "b.x", "c"} {
		if _, err := []*hub.Hub{&h1, &h2}[i%2].Publish(t.Context(), topic, core.Event{Data: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	h := &inspect.Handler{Authorize: anybody, Groups: groups, Hubs: map[string]*hub.Hub{"one": &h1, "two": &h2}}
	for _, tt := range []struct{ query, sessions, topics string }{
		{"", "4/4: dan cid Bob ann", "5/5: one/a.x one/b.x two/a.x two/b.x two/c"},
		{"sort=id&topics=name", "4/4: ann Bob cid dan", "5/5: one/a.x two/a.x one/b.x two/b.x two/c"},
		{"sort=-key&topics=-published", "4/4: dan cid ann Bob", "5/5: one/a.x one/b.x two/a.x two/b.x two/c"},
		{"sort=remoteAddr&topics=-hub", "4/4: cid dan Bob ann", "5/5: two/a.x two/b.x two/c one/a.x one/b.x"},
		{"sort=group&n=2", "4/4: ann Bob", "5/5: one/a.x one/b.x"},
		{"sort=-group&n=2", "4/4: dan ann", "5/5: one/a.x one/b.x"},
		{"sort=path&n=0", "4/4:", "5/5:"},
		{"q=bob", "1/4: Bob", "0/5:"},
		{"q=ROOMS&sort=id&n=2", "3/4: ann Bob", "0/5:"},
		{"q=get+/rooms", "2/4: cid ann", "0/5:"},
		{"q=:id", "1/4: Bob", "0/5:"},
		{"q=10.0.0.7", "2/4: dan cid", "0/5:"},
		{"q=prices", "1/4: dan", "0/5:"},
		{"q=one", "0/4:", "2/5: one/a.x one/b.x"},
		{"q=b.x", "0/4:", "2/5: one/b.x two/b.x"},
	} {
		got := reportOf(t, h, tt.query)
		if got.Sessions.words() != tt.sessions || got.Topics.words() != tt.topics {
			t.Errorf("%s: got %q and %q, want %q and %q", tt.query, got.Sessions.words(), got.Topics.words(), tt.sessions, tt.topics)
		}
	}
}

// The JSON is what docs/inspecting.md says.
func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(hubtest.MemoryLog)
		prices, local, answers := hub.New(hub.WithLog(log)), hub.New(), run.New()
		defer func() { _ = prices.Shutdown(context.Background()) }()
		synctest.Wait()
		if _, err := prices.Publish(t.Context(), "btc", core.Event{Data: "x"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g := &core.Group{Key: byKey}
		enter(t, g, core.Request{Method: "GET", Path: "/@ann", Route: "/{user}", RemoteAddr: "10.0.0.9:1"})
		h := &inspect.Handler{
			Authorize: anybody, Groups: map[string]*core.Group{"g": g},
			Hubs: map[string]*hub.Hub{"prices": prices, "local": local}, Runs: map[string]*run.Runner{"answers": answers},
		}
		id := reportOf(t, h, "").Sessions.Rows[0].ID
		want := fmt.Sprintf(`{"time":"2000-01-01T00:00:00Z","groups":{"g":1},`+
			`"sessions":{"total":1,"matching":1,"rows":[{"id":%d,"group":"g","key":"ann","method":"GET","path":"/@ann",`+
			`"route":"/{user}","remoteAddr":"10.0.0.9:1","events":0,"bytes":0,"behindSeconds":0}]},`+
			`"topics":{"total":1,"matching":1,"rows":[{"hub":"prices","name":"btc","pattern":false,"subscriptions":0,"behind":0,"held":1,"published":1,"rate":null}]},`+
			`"hubs":{"local":{"published":0,"delivered":0,"replaced":0,"dropped":0,"gaps":{"dropped":0,"expired":0,"restarted":0,"unknown":0},`+
			`"subscriptions":0,"topics":0,"patterns":0,"events":0,"bytes":0},`+
			`"prices":{"published":1,"delivered":0,"replaced":0,"dropped":0,"gaps":{"dropped":0,"expired":0,"restarted":0,"unknown":0},`+
			`"subscriptions":0,"topics":1,"patterns":0,"events":1,"bytes":%d,`+
			`"log":{"events":1,"bytes":%d,"lagSeconds":0,"silentSeconds":0,"reconnects":0,"gaps":0,"skipped":0}}},`+
			`"runs":{"answers":{"running":0,"held":0,"bytes":0,"started":0,"ended":{"failed":0,"lost":0,"returned":0,"shut down":0,"stopped":0}}}}`,
			id, prices.Stats().Bytes, prices.Stats().Log.Bytes)
		if got := strings.TrimSpace(ask(t, h, "GET", "/").Body.String()); got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
		log.Fail(errors.New("out of order"))
		<-time.After(10 * time.Second)
		if got, want := ask(t, h, "GET", "/").Body.String(), `"prices":{"error":"hub: `; !strings.Contains(got, want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	})
}

// A topic's rate is that of the time between two snapshots; without an earlier one it is not
// known.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var prices hub.Hub
		h := &inspect.Handler{Authorize: anybody, Hubs: map[string]*hub.Hub{"prices": &prices}}
		publish := func(n int) {
			for range n {
				if _, err := prices.Publish(t.Context(), "btc", core.Event{Data: "x"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := func(want string) {
			t.Helper()
			got := "unknown"
			if rate := reportOf(t, h, "").Topics.Rows[0].Rate; rate != nil {
				got = fmt.Sprint(*rate)
			}
			if got != want {
				t.Errorf("got a rate of %s events per second, want %s", got, want)
			}
		}
		publish(3)
		want("unknown")
		<-time.After(2 * time.Second)
		publish(5)
		want("2.5")
		<-time.After(time.Second)
		want("0")
		<-time.After(4 * time.Second) // nobody looks
		publish(5)
		want("unknown")
	})
}

// A session that is ended ends cleanly, and its view is told why.
func TestEnd(t *testing.T) {
	for _, detach := range []bool{false, true} {
		t.Run(fmt.Sprintf("detached %v", detach), func(t *testing.T) {
			s := newSite(t, detach)
			st := s.open(t)
			w := s.get(t, "application/json")
			var r report
			if err := json.Unmarshal([]byte(w.Body), &r); err != nil || len(r.Sessions.Rows) != 1 {
				t.Fatalf("got %q (%v), want one session", w.Body, err)
			}
			if got := s.end(t, r.Sessions.Rows[0].ID); got != 204 {
				t.Fatalf("got %d, want 204", got)
			}
			if rest := st(); rest != nil {
				t.Errorf("the client got %v, want a clean end", rest)
			}
			sum := <-s.closed
			if !errors.Is(sum.Cause, inspect.ErrEnded) || sum.Err != nil {
				t.Errorf("got the end %+v, want the cause %v", sum, inspect.ErrEnded)
			}
			if got := s.end(t, r.Sessions.Rows[0].ID); got != 404 {
				t.Errorf("got %d for a session that has ended, want 404", got)
			}
		})
	}
}

// form is the body of a request that ends a session.
func form(id uint64) string { return url.Values{"end": {strconv.FormatUint(id, 10)}}.Encode() }
