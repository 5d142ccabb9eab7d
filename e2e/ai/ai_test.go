// Package ai_test uses the chat of examples/ai as people do, in real browsers.
package ai_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func TestMain(m *testing.M) {
	browsertest.Main(m, "../../examples/ai")
}

// start runs the example on a free port, and returns its address.
func start(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(browsertest.Program(t), append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	_, line, _ := strings.Cut(testenv.Start(t, cmd, "Open "), "Open ")
	base, _, _ := strings.Cut(line, ",")
	return base
}

// dictated is a server that speaks OpenAI's protocol, and says what the test tells it.
func dictated(t *testing.T) (base string, tokens chan<- string) {
	t.Helper()
	said := make(chan string)
	server := hosttest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		_, _ = io.Copy(io.Discard, r.Body)
		return func(yield func(core.Event, error) bool) {
			for token := range core.Receive(r.Context(), said) {
				if token == "[DONE]" {
					yield(core.Event{Data: token}, nil)
					return
				}
				if token == "[FAIL]" {
					return // without an end
				}
				delta := map[string]any{"delta": map[string]string{"content": token}}
				if !yield(core.Event{}.JSON(map[string]any{"choices": []any{delta}})) {
					return
				}
			}
		}
	}))
	return server + "/v1", said
}

func say(t *testing.T, tokens chan<- string, all ...string) {
	t.Helper()
	for _, token := range all {
		select {
		case tokens <- token:
		case <-time.After(time.Minute):
			t.Fatal("the model is not asked")
		}
	}
}

const (
	answers = `[...document.querySelectorAll(".answer")]`
	last    = answers + `.at(-1)`
)

// reads waits until the last answer is want, and is in a state.
func reads(p *browsertest.Page, want, state string) {
	p.Helper()
	p.Wait(fmt.Sprintf(`%s?.querySelector(".text").textContent === %q && %s.dataset.state === %q`, last, want, last, state))
}

func ask(p *browsertest.Page, question string) {
	p.Helper()
	p.Wait(`document.querySelector("#link").dataset.state === "live"`)
	p.Set("textarea", question)
	p.Click("#send")
}

// kept waits until a page knows that its question is kept.
func kept(p *browsertest.Page) {
	p.Helper()
	p.Wait(`document.querySelector("textarea").value === "" && document.querySelector("#problem").textContent === ""`)
}

// Tokens appear as they come. A reload in the middle, and a second window, miss nothing.
func TestAnswer(t *testing.T) {
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		upstream, tokens := dictated(t)
		first := browsertest.Open(t, b, start(t, "-upstream", upstream))
		ask(first, "Why?")
		say(t, tokens, "Be", "cause **of**")
		reads(first, "Because of", "writing")
		kept(first)
		first.Visit(first.Text(`location.href`))
		reads(first, "Because of", "writing")
		second := browsertest.Open(t, b, first.Text(`location.href`))
		reads(second, "Because of", "writing")
		say(t, tokens, " <b>that</b>")
		reads(first, "Because of <b>that</b>", "writing")
		reads(second, "Because of <b>that</b>", "writing")
		say(t, tokens, ".", "[DONE]")
		reads(first, "Because of <b>that</b>.", "done")
		reads(second, "Because of <b>that</b>.", "done")

		// The other window asks, too.
		ask(second, "Really?")
		say(t, tokens, "Yes")
		reads(first, "Yes", "writing")
		first.Click("#stop")
		reads(first, "Yes", "stopped")
		reads(second, "Yes", "stopped")
		ask(first, "And?")
		say(t, tokens, "So", "[FAIL]")
		reads(first, "So", "failed")
		reads(second, "So", "failed")
		late := browsertest.Open(t, b, first.Text(`location.href`))
		late.Wait(answers + `.map((a) => a.dataset.state).join() === "done,stopped,failed"`)
	})
}

// An answer that ends after a window has read the turns and before it reads the answer is shown.
func TestEndsBetween(t *testing.T) {
	t.Parallel()
	browsertest.RunIn(t, "firefox", func(t *testing.T, b browser.Profile) {
		upstream, tokens := dictated(t)
		base := start(t, "-upstream", upstream)
		f := frontOf(t, base)
		p := browsertest.Open(t, b, f.url)
		ask(p, "Why?")
		say(t, tokens, "Be")
		reads(p, "Be", "writing")
		f.holds.Store(true)
		p.Visit(p.Text(`location.href`))
		reads(p, "", "writing")
		other := browsertest.Open(t, b, base+p.Text(`location.pathname`))
		say(t, tokens, "cause", "[DONE]")
		reads(other, "Because", "done")
		hosttest.Receive(t, f.reads, "a request for the answer")
		reads(p, "Because", "done")
	})
}

// Each window has one connection, and a browser six to each server. So three windows in which
// an answer is being written can be reloaded, and can stop it.
func TestThreeWindows(t *testing.T) {
	t.Parallel()
	browsertest.RunIn(t, "chromium", func(t *testing.T, b browser.Profile) {
		upstream, tokens := dictated(t)
		first := browsertest.Open(t, b, start(t, "-upstream", upstream))
		ask(first, "Why?")
		say(t, tokens, "Be")
		reads(first, "Be", "writing")
		second := browsertest.Open(t, b, first.Text(`location.href`))
		third := browsertest.Open(t, b, first.Text(`location.href`))
		reads(second, "Be", "writing")
		reads(third, "Be", "writing")
		third.Visit(third.Text(`location.href`))
		reads(third, "Be", "writing")
		third.Click("#stop")
		for _, p := range []*browsertest.Page{first, second, third} {
			reads(p, "Be", "stopped")
		}
	})
}

// A front is a proxy that refuses some requests.
type front struct {
	url   string
	lost  atomic.Bool   // it says so of each answer that is read
	holds atomic.Bool   // answers are read only when the test receives from reads
	reads chan struct{} // if it holds

	mu       sync.Mutex
	refusals map[string]int // by the third element of the path: turns, questions or answers
}

// frontOf returns a front of a server.
func frontOf(t *testing.T, server string) *front {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{reads: make(chan struct{}), refusals: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ErrorLog: log.New(io.Discard, "", 0), // of clients that leave
	}
	lost := nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) { yield(core.Event{Type: "lost"}, nil) }
	})
	f.url = hosttest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.holds.Load() && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/answers/") {
			select {
			case f.reads <- struct{}{}:
			case <-r.Context().Done():
				return
			}
		}
		switch {
		case f.refuses(r.URL.Path):
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case f.lost.Load() && strings.Contains(r.URL.Path, "/answers/"):
			lost.ServeHTTP(w, r)
		default:
			body, err := io.ReadAll(r.Body) // or the proxy may break a response that begins early: golang/go#40747
			if err != nil {
				return // the client has left
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			proxy.ServeHTTP(w, r)
		}
	}))
	return f
}

func (f *front) refuses(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	elements := strings.Split(path, "/")
	if len(elements) < 4 || f.refusals[elements[3]] == 0 {
		return false
	}
	f.refusals[elements[3]]--
	return true
}

// refuse refuses the next n requests for something.
func (f *front) refuse(what string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusals[what] = n
}

// A page that is refused tries again by itself, and says what was not sent.
func TestRefused(t *testing.T) {
	t.Parallel()
	browsertest.RunIn(t, "firefox", func(t *testing.T, b browser.Profile) {
		upstream, tokens := dictated(t)
		f := frontOf(t, start(t, "-upstream", upstream))
		f.refuse("turns", 2)
		p := browsertest.Open(t, b, f.url)
		f.refuse("questions", 1)
		f.refuse("answers", 1)
		ask(p, "Why?")
		p.Wait(`document.querySelector("#problem").textContent === "Not sent: not now"`)
		if got, want := p.Text(`document.querySelector("textarea").value`), "Why?"; got != want {
			t.Errorf("got the question %q, want %q", got, want)
		}
		p.Click("#send")
		say(t, tokens, "Be")
		reads(p, "Be", "writing")
		kept(p)
		if got, want := p.Text(`String(document.querySelectorAll(".question").length)`), "1"; got != want {
			t.Errorf("got %s questions, want %s", got, want)
		}
		f.refuse("answers", 1)
		p.Click("#stop")
		p.Wait(`document.querySelector("#problem").textContent === "Not stopped: not now"`)

		f.refuse("answers", 3) // in a row, as if the server had forgotten it
		late := browsertest.Open(t, b, p.Text(`location.href`))
		late.Wait(last + `?.dataset.state === "lost"`)
		p.Click("#stop")
		reads(p, "Be", "stopped")
		reads(late, "Be", "stopped") // the turns have told it
	})
}

// If the process that has written an answer has died, the page says so, and another question
// can be asked.
func TestLost(t *testing.T) {
	t.Parallel()
	browsertest.RunIn(t, "chromium", func(t *testing.T, b browser.Profile) {
		upstream, _ := dictated(t)
		f := frontOf(t, start(t, "-upstream", upstream))
		f.lost.Store(true)
		p := browsertest.Open(t, b, f.url)
		ask(p, "Why?")
		reads(p, "", "lost")
		p.Wait(last + `.querySelector(".state").textContent === "The rest of the answer is lost."`)
		p.Wait(`document.querySelector("#stop").hidden && !document.querySelector("#send").hidden`)
	})
}

// The page shows something, in both themes and on a phone. If YIELDSSE_SCREENSHOTS names a
// folder, the pictures are written there, so that a person can look at them.
func TestScreenshots(t *testing.T) {
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		p := browsertest.Open(t, b, start(t))
		p.Resize(900, 860)
		picture(p, "empty")
		ask(p, "How does a stream survive a reload?")
		dir := os.Getenv("YIELDSSE_SCREENSHOTS")
		if dir == "" {
			p.Wait(last + `?.querySelector("ol")`)
		} else {
			p.Wait(last + `?.querySelector("pre")?.textContent.length > 200`)
		}
		picture(p, "chat")
		p.Resize(390, 844)
		p.Do(`scrollTo(0, 0)`)
		picture(p, "phone")
	})
}

// picture takes a picture of the viewport in each theme.
func picture(p *browsertest.Page, name string) {
	p.Helper()
	for range 2 {
		p.Click("#theme")
		theme := p.Text(`document.documentElement.dataset.theme`)
		p.Picture("ai-"+name, theme, browsertest.Eval[browser.Rect](p, `(({ clientWidth: width, clientHeight: height }) => ({ x: 0, y: Math.round(scrollY), width, height }))(document.documentElement)`))
	}
}
