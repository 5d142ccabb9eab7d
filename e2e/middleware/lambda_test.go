package middleware_test

import (
	"context"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/yieldsse/yieldsse/core"
)

// lambdaurl reads the response from a pipe.
func TestLambdaURL(t *testing.T) {
	t.Parallel()
	for _, m := range modes[:2] {
		t.Run(m.name, func(t *testing.T) {
			s := newSite(row{}, m)
			invoke := lambdaurl.Wrap(streams(s))
			get := func(ctx context.Context, path string) io.ReadCloser {
				t.Helper()
				r := &events.LambdaFunctionURLRequest{RawPath: path}
				r.RequestContext.DomainName, r.RequestContext.HTTP.Method = "x", http.MethodGet
				res, err := invoke(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				if got := res.Headers["Content-Type"]; res.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
					text, _ := io.ReadAll(res.Body)
					t.Fatalf("got %d %q %q", res.StatusCode, got, text)
				}
				body := res.Body.(io.ReadCloser)
				t.Cleanup(func() { _ = body.Close() })
				return body
			}
			next, stop := iter.Pull2(core.Read(get(t.Context(), "/flow")))
			defer stop()
			for range 3 {
				go func() { s.steps <- struct{}{} }() // the stream runs only after its beginning has been read
				if e, err, ok := next(); !ok || err != nil || !strings.HasPrefix(e.Data, "event ") {
					t.Fatalf("got %+v, %v, %t", e, err, ok)
				}
			}
			if e, err, ok := next(); ok {
				t.Errorf("got %+v, %v, want an end", e, err)
			}
			if text, err := io.ReadAll(get(t.Context(), "/fail")); err == nil || !strings.Contains(string(text), "data: before\n\n") {
				t.Errorf("got %q, %v, want an event and a broken end", text, err)
			}
		})
	}
}

// The other adapter sends whole responses only.
func TestLambdaProxy(t *testing.T) {
	t.Parallel()
	res, err := httpadapter.New(streams(newSite(row{}, mode{}))).ProxyWithContext(t.Context(), events.APIGatewayProxyRequest{
		Path: "/flow", HTTPMethod: http.MethodGet,
	})
	if want := "a *core.ProxyResponseWriter"; err != nil || res.StatusCode != http.StatusInternalServerError || !strings.Contains(res.Body, want) {
		t.Errorf("got %d %q, %v, want 500 %q", res.StatusCode, res.Body, err, want)
	}
}
