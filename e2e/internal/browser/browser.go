// Package browser drives real browsers, for tests that look at pages: Chromium
// through its DevTools and Firefox through WebDriver BiDi.
package browser

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// ErrMissing means that the machine has no such browser.
var ErrMissing = errors.New("browser: missing")

// patience bounds what is asked of a browser.
const patience = 90 * time.Second

// A Browser runs without a window that could be seen. It takes every certificate.
type Browser interface {
	// Profile makes a profile, which shares nothing with others: no cookie, no
	// storage and no connection.
	Profile() (Profile, error)

	// Close ends the browser.
	Close() error
}

// A Profile is what windows share.
type Profile interface {
	// Open opens a window that shows a URL, and waits until it is loaded.
	Open(url string) (Page, error)

	// Close closes its windows.
	Close() error
}

// A Page is a window.
type Page interface {
	// Navigate shows a URL, and waits until it is loaded.
	Navigate(url string) error

	// Eval returns the value of a script, which is a string or the promise of one.
	Eval(script string) (string, error)

	// Click clicks with the mouse, at a point of what can be seen.
	Click(x, y float64) error

	// Resize sets the size of what can be seen.
	Resize(width, height int) error

	// Screenshot returns a PNG of a part of the document.
	Screenshot(part Rect) ([]byte, error)

	// Close closes the window.
	Close() error
}

// A Rect is a part of a document, in pixels.
type Rect struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

var starts = map[string]struct {
	programs []string
	start    func(path string) (Browser, error)
}{
	"chromium": {[]string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}, startChromium},
	"firefox":  {[]string{"firefox", "firefox-esr"}, startFirefox},
}

// Names are the browsers that Start takes.
func Names() []string { return []string{"chromium", "firefox"} }

// Start starts a browser. The error is ErrMissing if it is not installed.
func Start(name string) (Browser, error) {
	how := starts[name]
	for _, program := range how.programs {
		if path, err := exec.LookPath(program); err == nil {
			b, err := how.start(path)
			if err != nil {
				return nil, fmt.Errorf("browser: %s: %w", path, err)
			}
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w: install one of %s", ErrMissing, strings.Join(how.programs, ", "))
}
