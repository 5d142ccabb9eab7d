package e2e_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
)

// A window that has much to tell can be closed, and the browser goes on.
func TestBusyWindow(t *testing.T) { inBrowsers(t, testBusyWindow) }

func testBusyWindow(t *testing.T, b browser.Profile) {
	t.Helper()
	w, err := b.Open("data:text/html,busy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Eval(`for (let i = 0; i < 5000; i++) fetch("data:,x"); ""`); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p := openPage(t, b, "data:text/html,well")
	if got := p.text(`document.body.textContent`); got != "well" {
		t.Errorf("got a window that shows %q, want well", got)
	}
}
