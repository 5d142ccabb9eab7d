// Package browsertest runs tests in real browsers. Each step of a test has a time limit,
// and a test that fails says what its page shows.
package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

const (
	patience = time.Minute      // for one step
	slow     = 10 * time.Second // a step that takes longer is logged
	reserve  = 20 * time.Second // of the test's time limit, to report what has failed
)

// browsers has a function for each browser, which starts it once, for all tests of a package.
var browsers = func() map[string]func() (browser.Browser, error) {
	all := make(map[string]func() (browser.Browser, error))
	for _, name := range browser.Names() {
		all[name] = sync.OnceValues(func() (browser.Browser, error) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return browser.Start(ctx, name)
		})
	}
	return all
}()

// program builds the program that Main was told of, once, and returns its path.
var program func() (path string, err error)

// Main starts the browsers, runs a package's tests while no others run, and ends the
// browsers. If the tests need a program, source is its folder: see [Program].
func Main(m *testing.M, source string) {
	dir, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		panic(err)
	}
	program = sync.OnceValues(func() (string, error) { return programs.Build(source, dir) })
	if slices.ContainsFunc(browser.Names(), browser.Installed) {
		if source != "" {
			_, _ = program() // before it takes the CPUs; each test tells the error
		}
		testenv.TakeCPUs()
		// One after the other, and before the tests: Firefox begins a session only when it has
		// been idle for a moment, so it could wait for a minute while another browser is busy.
		for _, start := range browsers {
			_, _ = start() // each test tells the error
		}
	}
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for name, start := range browsers {
		if b, err := start(); err == nil {
			if err := b.Close(ctx); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			}
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code) //nolint:gocritic // the context ends with the process
}

// Program returns the path of the program that [Main] was told of.
func Program(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// limit returns the context of a step: it ends after patience, or in time for the test to
// report the failure.
func limit(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	d := patience
	if end, ok := t.Deadline(); ok {
		d = max(min(d, time.Until(end)-reserve), time.Second)
	}
	return context.WithTimeoutCause(context.Background(), d, fmt.Errorf("not done within %v", d.Round(time.Second)))
}

// Run runs a test in all browsers, in parallel. It skips a browser that is not installed;
// see [testenv.Skip].
func Run(t *testing.T, test func(t *testing.T, b browser.Profile)) {
	t.Helper()
	for _, name := range browser.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newProfile(t, name))
		})
	}
}

// Second reports whether a test of [Run] takes the second of two protocols for the ith of
// several servers. The other browser takes the other one, and for the next server they change
// places.
func Second(t *testing.T, i int) bool {
	t.Helper()
	return (path.Base(t.Name()) == "firefox") == (i%2 == 0)
}

// RunIn runs a test in one browser, with such a name as [browser.Names] returns. It skips the
// test if that is not installed; see [testenv.Skip].
func RunIn(t *testing.T, name string, test func(t *testing.T, b browser.Profile)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { test(t, newProfile(t, name)) })
}

func newProfile(t *testing.T, name string) browser.Profile {
	t.Helper()
	b, err := browsers[name]()
	if errors.Is(err, browser.ErrMissing) {
		testenv.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := limit(t)
	defer cancel()
	p, err := b.Profile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := limit(t)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// A Page is a window in a test.
type Page struct {
	*testing.T
	Window browser.Page
	close  func() // once
}

// Open opens a window. It is closed at the end of the test.
func Open(t *testing.T, b browser.Profile, url string) *Page {
	t.Helper()
	ctx, cancel := limit(t)
	defer cancel()
	w, err := b.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{t, w, sync.OnceFunc(func() {
		ctx, cancel := limit(t)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(p.close)
	return p
}

// On returns the same page for a subtest.
func (p *Page) On(t *testing.T) *Page {
	t.Helper()
	return &Page{t, p.Window, p.close}
}

// Close closes the window before the end of the test.
func (p *Page) Close() { p.close() }

// step does one thing in the window. If it fails, the test fails and says what the page
// shows.
func (p *Page) step(what string, f func(ctx context.Context) error) {
	p.Helper()
	ctx, cancel := limit(p.T)
	defer cancel()
	begin := time.Now()
	if err := f(ctx); err != nil {
		p.Fatalf("%s: %v\n%s", what, err, p.Shows())
	}
	if took := time.Since(begin); took > slow {
		p.Logf("%s took %v", what, took.Round(time.Second))
	}
}

// Shows describes the page: its address, the result of its window.report, its text and
// its console.
func (p *Page) Shows() string {
	ctx, cancel := context.WithTimeout(context.Background(), reserve/2)
	defer cancel()
	text, err := p.Window.Eval(ctx, `[
		"The page is " + location.href + ", " + document.readyState + ".",
		window.report?.() ?? "",
		"It shows:",
		(document.body?.innerText ?? "nothing").slice(0, 3000),
	].join("\n")`)
	if err != nil {
		text = fmt.Sprintf("The page's text cannot be read: %v", err)
	}
	return text + "\nIts console:\n" + strings.Join(p.Window.Console(), "\n")
}

// Eval returns the value of an expression, or of a promise.
func Eval[T any](p *Page, js string) T {
	p.Helper()
	var v T
	p.step(js, func(ctx context.Context) error {
		text, err := p.Window.Eval(ctx, "(async () => JSON.stringify(await ("+js+")) ?? 'null')()")
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(text), &v)
	})
	return v
}

// Do runs statements.
func (p *Page) Do(js string) {
	p.Helper()
	Eval[any](p, "(async () => {"+js+"\n})()")
}

// Text returns the value of an expression, which must be a string.
func (p *Page) Text(js string) string {
	p.Helper()
	return Eval[string](p, js)
}

// Wait waits until a condition holds.
func (p *Page) Wait(js string) {
	p.Helper()
	When[bool](p, js, "true")
}

// When waits until a condition holds, and returns the value of an expression at that
// moment. A condition that fails does not hold yet: while one page follows another, it has
// no elements, or ends what looks at them.
func When[T any](p *Page, condition, value string) T {
	p.Helper()
	const pause = 10 * time.Millisecond
	script := fmt.Sprintf(`new Promise((resolve, reject) => {
		const look = () => {
			try {
				if (%s) resolve(JSON.stringify(%s));
				else setTimeout(look, %d);
			} catch (e) {
				reject(e);
			}
		};
		look();
	})`, condition, value, pause.Milliseconds())
	var v T
	p.step("waiting for "+condition, func(ctx context.Context) error {
		var failed error
		for {
			text, err := p.Window.Eval(ctx, script)
			if err == nil {
				return json.Unmarshal([]byte(text), &v)
			}
			if ctx.Err() == nil {
				failed = err
			}
			select {
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), failed)
			case <-time.After(pause):
			}
		}
	})
	return v
}

// Click clicks as a person does: on an element that is visible, and again if the click has
// missed it, because the page has moved in the meantime.
func (p *Page) Click(selector string) {
	p.Helper()
	const tries = 5
	for range tries {
		at := Eval[*browser.Rect](p, fmt.Sprintf(`(() => {
			const e = document.querySelector(%q);
			e.scrollIntoView({ block: "center", behavior: "instant" });
			const box = e.getBoundingClientRect();
			const x = box.x + box.width / 2, y = box.y + box.height / 2;
			const top = document.elementFromPoint(x, y);
			if (e !== top && !e.contains(top)) return null;
			window.missed = true;
			e.addEventListener("click", () => window.missed = false, { capture: true, once: true });
			return { x, y };
		})()`, selector))
		if at == nil {
			p.Fatalf("%s cannot be clicked: another element covers it\n%s", selector, p.Shows())
		}
		p.step("click "+selector, func(ctx context.Context) error { return p.Window.Click(ctx, at.X, at.Y) })
		if !Eval[bool](p, `window.missed === true`) { // another page has not missed it
			return
		}
		p.Logf("a click has missed %s", selector)
	}
	p.Fatalf("%d clicks have missed %s\n%s", tries, selector, p.Shows())
}

// Set fills in a field.
func (p *Page) Set(selector, value string) {
	p.Helper()
	p.Do(fmt.Sprintf(`const field = document.querySelector(%q);
		field.value = %q;
		for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));`, selector, value))
}

// Visit shows a URL.
func (p *Page) Visit(url string) {
	p.Helper()
	p.step("visit "+url, func(ctx context.Context) error { return p.Window.Navigate(ctx, url) })
}

// Reload shows the page again, and waits until it is loaded.
func (p *Page) Reload() {
	p.Helper()
	p.Do(`window.reloading = true; setTimeout(() => location.reload());`)
	p.Wait(`!window.reloading && document.readyState === "complete"`)
}

// Resize sets the size of the viewport.
func (p *Page) Resize(width, height int) {
	p.Helper()
	p.step("resize", func(ctx context.Context) error { return p.Window.Resize(ctx, width, height) })
}

// Screenshot returns a PNG of a part of the document.
func (p *Page) Screenshot(part browser.Rect) (png []byte) {
	p.Helper()
	p.step("screenshot", func(ctx context.Context) (err error) {
		png, err = p.Window.Screenshot(ctx, part)
		return err
	})
	return png
}

// WantIn fails the test if want is not part of got.
func (p *Page) WantIn(got, want string) {
	p.Helper()
	if !strings.Contains(got, want) {
		p.Errorf("got %q, want %q in it", got, want)
	}
}
