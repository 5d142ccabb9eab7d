package browsers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
)

// A window that sends many messages can be closed, and the browser continues.
func TestBusyWindow(t *testing.T) { browsertest.Run(t, testBusyWindow) }

func testBusyWindow(t *testing.T, b browser.Profile) {
	t.Helper()
	w := browsertest.Open(t, b, "data:text/html,busy")
	w.Do(`for (let i = 0; i < 5000; i++) fetch("data:,x")`)
	w.Close()
	p := browsertest.Open(t, b, "data:text/html,well")
	if got := p.Text(`document.body.textContent`); got != "well" {
		t.Errorf("got a window with text %q, want %q", got, "well")
	}
}

// A test that fails says what its page shows, and what was written to the console.
func TestShows(t *testing.T) {
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		p := browsertest.Open(t, b, "data:text/html,<title>x</title><p>what can be read</p>")
		p.Do(`console.log("said", 7); window.report = () => "reported"; setTimeout(() => { throw new Error("thrown") })`)
		deadline := time.Now().Add(time.Minute)
		for _, want := range []string{"data:text/html", "complete", "what can be read", "reported", "said 7", "thrown"} {
			for !strings.Contains(p.Shows(), want) {
				if time.Now().After(deadline) {
					t.Fatalf("got %s\nwant %q in it", p.Shows(), want)
				}
			}
		}
	})
}
