package browsers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
)

// The tests' own waiting: a condition may ask for what only the next page has.
func TestWait(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/next" {
			fmt.Fprint(w, "<!doctype html><output>here</output>")
			return
		}
		fmt.Fprint(w, `<!doctype html><script>onload = () => setTimeout(() => location = "/next", 100);</script>`)
	}))
	t.Cleanup(srv.Close)
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		p := browsertest.Open(t, b, srv.URL)
		p.Wait(`document.querySelector("output").value === "here"`)
		p.Do("window.old = true;")
		p.Reload()
		if browsertest.Eval[bool](p, "window.old === true") {
			t.Error("got the page from before Reload, want it loaded again")
		}
	})
}
