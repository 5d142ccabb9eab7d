package e2e_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
)

// patience is how long one step in a browser may take.
const patience = time.Minute

// A running browser serves all tests.
type running struct {
	start func() (browser.Browser, error) // once
	used  bool
}

var browsers = map[string]*running{}

func TestMain(m *testing.M) {
	for _, name := range browser.Names() {
		r := &running{}
		r.start = sync.OnceValues(func() (browser.Browser, error) {
			r.used = true
			return browser.Start(name)
		})
		browsers[name] = r
	}
	_ = flag.Set("test.parallel", "8") // browsers wait more than they work
	code := m.Run()
	for name, r := range browsers {
		if !r.used {
			continue
		}
		if b, err := r.start(); err == nil {
			if err := b.Close(); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			}
		}
	}
	_ = os.RemoveAll(builds)
	os.Exit(code)
}

// newProfile returns a profile of a browser, which is started if need be. A test
// without the browser is skipped, but fails in CI.
func newProfile(t *testing.T, name string) browser.Profile {
	t.Helper()
	b, err := browsers[name].start()
	if errors.Is(err, browser.ErrMissing) {
		lack(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// inBrowsers runs a test in each browser, at once.
func inBrowsers(t *testing.T, test func(t *testing.T, b browser.Profile)) {
	t.Helper()
	for _, name := range browser.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newProfile(t, name))
		})
	}
}

// A page is a window, as a test looks at it.
type page struct {
	*testing.T
	browser.Page
}

// openPage opens a window, until the end of the test.
func openPage(t *testing.T, b browser.Profile, url string) *page {
	t.Helper()
	w, err := b.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return &page{t, w}
}

// eval returns the value of an expression, or of the promise of one.
func eval[T any](p *page, js string) T {
	p.Helper()
	text, err := p.Eval("(async () => JSON.stringify(await (" + js + ")) ?? 'null')()")
	if err != nil {
		p.Fatalf("%s: %v", js, err)
	}
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		p.Fatalf("%s: got %s: %v", js, text, err)
	}
	return v
}

// do runs statements.
func (p *page) do(js string) {
	p.Helper()
	eval[any](p, "(async () => {"+js+"\n})()")
}

func (p *page) text(js string) string {
	p.Helper()
	return eval[string](p, js)
}

// wait waits until a condition holds.
func (p *page) wait(js string) {
	p.Helper()
	if !p.waits(js) {
		p.Fatalf("waited in vain for %s; %s", js, p.text(`window.report?.() ?? ""`))
	}
}

// waits reports whether a condition holds in time.
func (p *page) waits(js string) bool {
	p.Helper()
	return eval[bool](p, until(js, "true")+" ?? false")
}

// until is the promise of a value, as it is when a condition holds, or of null if
// that takes too long.
func until(condition, value string) string {
	return fmt.Sprintf(`await new Promise((resolve, reject) => {
		const end = Date.now() + %d;
		const look = () => {
			try {
				if (%s) resolve(%s);
				else if (Date.now() > end) resolve(null);
				else setTimeout(look, 10);
			} catch (e) {
				reject(e);
			}
		};
		look();
	})`, patience.Milliseconds(), condition, value)
}

// click clicks as a person does: on what can be seen.
func (p *page) click(selector string) {
	p.Helper()
	at := eval[*browser.Rect](p, fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({ block: "center", behavior: "instant" });
		const box = e.getBoundingClientRect();
		const x = box.x + box.width / 2, y = box.y + box.height / 2;
		const top = document.elementFromPoint(x, y);
		return e === top || e.contains(top) ? { x, y } : null;
	})()`, selector))
	if at == nil {
		p.Fatalf("%s cannot be clicked: something else lies there", selector)
	}
	if err := p.Click(at.X, at.Y); err != nil {
		p.Fatalf("click %s: %v", selector, err)
	}
}

// set fills in a field.
func (p *page) set(selector, value string) {
	p.Helper()
	p.do(fmt.Sprintf(`const field = document.querySelector(%q);
		field.value = %q;
		for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));`, selector, value))
}

func (p *page) visit(url string) {
	p.Helper()
	if err := p.Navigate(url); err != nil {
		p.Fatal(err)
	}
}

func (p *page) resize(width, height int) {
	p.Helper()
	if err := p.Resize(width, height); err != nil {
		p.Fatal(err)
	}
}

func (p *page) wantIn(got, want string) {
	p.Helper()
	if !strings.Contains(got, want) {
		p.Errorf("got %q, want %q in it", got, want)
	}
}

// jsonOf is for values that have a JSON.
func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
