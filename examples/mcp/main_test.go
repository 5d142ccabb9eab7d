package main

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// e2e/frontends uses it with a client of MCP, and the page in a browser.
func TestTool(t *testing.T) {
	const progress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":50,"progressToken":7,"total":100}}`
	tests := []struct {
		name string
		err  error
		body string
		want []string
	}{
		{"with progress", nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":7}}}`, []string{
			progress,
			`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"The report is ready.","type":"text"}],"isError":false,"resultType":"complete"}}`,
		}},
		{"without", nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, []string{
			`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"The report is ready.","type":"text"}],"isError":false,"resultType":"complete"}}`,
		}},
		{"fails", errors.New("no more paper"), `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, []string{
			`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"The report has failed.","type":"text"}],"isError":true,"resultType":"complete"}}`,
		}},
		{"a ping", nil, `{"jsonrpc":"2.0","id":0,"method":"ping"}`, []string{
			`{"jsonrpc":"2.0","id":0,"result":{"resultType":"complete"}}`,
		}},
		{"another method", nil, `{"jsonrpc":"2.0","id":"a","method":"prompts/list"}`, []string{
			`{"jsonrpc":"2.0","id":"a","error":{"code":-32601,"message":"no such method"}}`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := hosttest.Serve(t, handler(func(context.Context) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) { _ = yield(50, nil) && tt.err != nil && yield(0, tt.err) }
			}))
			var got []string
			for _, e := range (ssetest.Request{URL: base + "/mcp", Body: tt.body}).Open(t).All() {
				got = append(got, e.Data)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	base := hosttest.Serve(t, handler(report))
	tests := []struct {
		name, body, origin string
		want               int
	}{
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "", http.StatusAccepted},
		{"no JSON", `{`, "", http.StatusBadRequest},
		{"another site", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "http://example.com", http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := ssetest.Request{URL: base + "/mcp", Body: tt.body}
			if tt.origin != "" {
				req.Header = http.Header{"Origin": {tt.origin}}
			}
			if got := req.Open(t).Status; got != tt.want {
				t.Errorf("got status %d, want %d", got, tt.want)
			}
		})
	}
	if got, want := hosttest.Get(t, base+"/mcp").Status, http.StatusMethodNotAllowed; got != want {
		t.Errorf("GET: got status %d, want %d", got, want)
	}
}

// A page whose name has this machine's address now is of the same origin, and gets nothing all the same.
func TestRebinding(t *testing.T) {
	h := handler(report)
	for host, want := range map[string]int{
		"evil.example:8080": http.StatusForbidden, "evil.example": http.StatusForbidden, "192.0.2.1:8080": http.StatusForbidden,
		"127.0.0.1:8080": http.StatusOK, "localhost:8080": http.StatusOK, "localhost": http.StatusOK, "[::1]:8080": http.StatusOK, "[::1]": http.StatusOK,
	} {
		req := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		req.Host = host
		req.Header.Set("Origin", "http://"+host)
		res := httptest.NewRecorder()
		h.ServeHTTP(res, req)
		if got := res.Code; got != want {
			t.Errorf("%s: got status %d, want %d", host, got, want)
		}
	}
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		for done, err := range report(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, done)
		}
		if want := []int{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		for _, err := range report(ended) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got the error %v, want %v", err, context.Canceled)
			}
		}
	})
}
