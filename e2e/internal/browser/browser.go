// Package browser drives real browsers, for tests that look at pages: Chromium
// through its DevTools and Firefox through WebDriver BiDi.
package browser

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// ErrMissing means that the browser is not installed.
var ErrMissing = errors.New("browser: missing")

// A Browser runs without visible windows. It accepts every certificate. All calls end
// when their context ends, if not before.
type Browser interface {
	// Profile makes a profile, which does not share cookies, storage or connections
	// with others.
	Profile(ctx context.Context) (Profile, error)

	// Close ends the browser.
	Close(ctx context.Context) error
}

// A Profile is a set of windows that share cookies, storage and connections.
type Profile interface {
	// Open opens a window that shows a URL, and waits until it is loaded.
	Open(ctx context.Context, url string) (Page, error)

	// Close closes the windows.
	Close(ctx context.Context) error
}

// A Page is a window.
type Page interface {
	// Navigate shows a URL, and waits until it is loaded.
	Navigate(ctx context.Context, url string) error

	// Eval returns the value of a script, which must be a string or a promise of one.
	Eval(ctx context.Context, script string) (string, error)

	// Click clicks with the mouse, at a point of the viewport.
	Click(ctx context.Context, x, y float64) error

	// Resize sets the size of the viewport.
	Resize(ctx context.Context, width, height int) error

	// Screenshot returns a PNG of a part of the document.
	Screenshot(ctx context.Context, part Rect) ([]byte, error)

	// Console returns the last lines that the window has written to its console. It does
	// not call the browser.
	Console() []string

	// Close closes the window.
	Close(ctx context.Context) error
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
	start    func(ctx context.Context, path string) (Browser, error)
}{
	"chromium": {[]string{
		"chromium-headless-shell", "chrome-headless-shell", // has no windows to draw, which is half of the work
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
	}, startChromium},
	"firefox": {[]string{"firefox", "firefox-esr"}, startFirefox},
}

// Names returns the names that Start accepts.
func Names() []string { return []string{"chromium", "firefox"} }

// Installed tells whether a browser can be started.
func Installed(name string) bool { return len(testenv.Find(starts[name].programs...)) > 0 }

// Start starts a browser. If it is not installed, the error wraps ErrMissing.
func Start(ctx context.Context, name string) (Browser, error) {
	how := starts[name]
	paths := testenv.Find(how.programs...)
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: install one of %s", ErrMissing, strings.Join(how.programs, ", "))
	}
	b, err := how.start(ctx, paths[0])
	if err != nil {
		return nil, fmt.Errorf("browser: %s: %w", paths[0], err)
	}
	return b, nil
}

// A console keeps the last lines of a window's console.
type console struct {
	mu    sync.Mutex
	lines []string
}

func (c *console) write(line string) {
	const most = 30
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines = append(c.lines, line); len(c.lines) > most {
		c.lines = c.lines[1:]
	}
}

// Console implements part of [Page].
func (c *console) Console() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}
