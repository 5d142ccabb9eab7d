package main

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

const friend = "https://friend.example"

// A visitor is a browser without a page.
type visitor struct {
	*testing.T

	base   string
	client *http.Client
}

func visit(t *testing.T, s *server) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{t, hosttest.Serve(t, s.router()), &http.Client{Jar: jar}}
}

func (v visitor) open(path string, header ...string) *ssetest.Stream {
	v.Helper()
	r := ssetest.Request{URL: v.base + path, Client: v.client, Header: http.Header{}}
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	return r.Open(v.T)
}

func (v visitor) post(path string, form url.Values) (status int, body string) {
	v.Helper()
	st := ssetest.Request{
		Method: http.MethodPost, URL: v.base + path, Client: v.client, Body: form.Encode(),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}.Open(v.T)
	return st.Status, st.Body()
}

func (v visitor) signIn() {
	v.Helper()
	if status, _ := v.post("/login", url.Values{"user": {"alice"}}); status != http.StatusOK {
		v.Fatalf("login: got status %d", status)
	}
}

func (v visitor) wantStatus(path string, want int, header ...string) {
	v.Helper()
	st := v.open(path, header...)
	if st.Status != want {
		v.Errorf("%s %q: got status %d, want %d", path, header, st.Status, want)
	}
	st.Close()
}

func wantHello(t *testing.T, s *ssetest.Stream) {
	t.Helper()
	if got := s.Next().Data; got != "Hello, alice" {
		t.Errorf("got %q, want Hello, alice", got)
	}
}

func TestCookie(t *testing.T) {
	v := visit(t, newServer(time.Hour, time.Hour, ""))
	v.wantStatus("/stream", http.StatusUnauthorized)
	v.signIn()
	st := v.open("/stream")
	wantHello(t, st)
	if status, _ := v.post("/logout", nil); status != http.StatusOK {
		t.Errorf("logout: got status %d", status)
	}
	ssetest.Equal(t, st.All(), nil) // a clean end
	v.wantStatus("/stream", http.StatusUnauthorized)
}

// A stream that is about to begin when its user signs out does not begin.
func TestSignsOutMeanwhile(t *testing.T) {
	s := newServer(time.Hour, time.Hour, "")
	v := visit(t, s)
	v.signIn()
	key := s.streams.Key
	s.streams.Key = func(ctx context.Context) string { // before the stream is in the group
		s.signOut(loginOf(ctx))
		return key(ctx)
	}
	v.wantStatus("/stream", http.StatusUnauthorized)
}

func TestTicket(t *testing.T) {
	s := newServer(time.Hour, time.Hour, "")
	v := visit(t, s)
	if status, _ := v.post("/ticket", nil); status != http.StatusUnauthorized {
		t.Errorf("got status %d for a ticket without a login, want 401", status)
	}
	v.signIn()
	_, ticket := v.post("/ticket", nil)
	cookies := v.client.Jar
	v.client.Jar = nil
	wantHello(t, v.open("/stream?ticket="+ticket))
	v.wantStatus("/stream?ticket="+ticket, http.StatusUnauthorized)
	v.wantStatus("/stream?ticket=", http.StatusUnauthorized)

	v.client.Jar = cookies
	_, unused := v.post("/ticket", nil)
	_, expired := v.post("/ticket", nil)
	issue(s, s.tickets, expired, s.tickets[expired], 0)
	hosttest.Eventually(t, "the ticket has expired", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.tickets[expired]
		return !ok
	})
	v.wantStatus("/stream?ticket="+expired, http.StatusUnauthorized)

	v.post("/logout", nil)
	v.wantStatus("/stream?ticket="+unused, http.StatusUnauthorized)
}

func TestLoginExpires(t *testing.T) {
	v := visit(t, newServer(time.Second, time.Hour, ""))
	v.signIn()
	st := v.open("/stream")
	wantHello(t, st)
	ssetest.Equal(t, st.All(), nil) // a clean end
	v.wantStatus("/stream", http.StatusUnauthorized)
}

func TestOrigins(t *testing.T) {
	v := visit(t, newServer(time.Hour, time.Hour, friend))
	v.signIn()
	for _, origin := range []string{"https://evil.example", "null", friend + ".evil.example", strings.ToUpper(friend)} {
		v.wantStatus("/stream", http.StatusForbidden, "Origin", origin)
	}
	v.wantStatus("/stream", http.StatusOK, "Origin", v.base)
	st := v.open("/stream", "Origin", friend)
	wantHello(t, st)
	if got := st.Header; got.Get("Access-Control-Allow-Origin") != friend || got.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("got headers %v, want them to let %s read with credentials", got, friend)
	}
}

func TestKeyLimit(t *testing.T) {
	s := newServer(time.Hour, time.Hour, "")
	v := visit(t, s)
	v.signIn()
	for range s.streams.KeyLimit {
		wantHello(t, v.open("/stream"))
	}
	v.wantStatus("/stream", http.StatusTooManyRequests)
	for m := range s.streams.Members() {
		if m.Key != "alice" || m.Request.Route != "/stream" {
			t.Errorf("got member %+v", m)
		}
		m.End(nil)
	}
}
