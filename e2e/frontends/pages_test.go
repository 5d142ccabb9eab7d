package frontends_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
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

// A library puts events into a page without a line of JavaScript.
type library struct {
	name  string
	page  string // its list has the ID "list"
	event func(text string) core.Event

	// comes has the last event ID of each of its connections, see [feed].
	comes []string

	// ended is a condition that holds when it will not come back, or "" if it does.
	ended string
}

var libraries = []library{
	{
		"htmx 2",
		`<script src="/node_modules/htmx2/dist/htmx.js"></script><script src="/node_modules/htmx-ext-sse/sse.js"></script>
		<div hx-ext="sse" sse-connect="feed"><ul id="list" sse-swap="price" hx-swap="beforeend"></ul></div>`,
		func(text string) core.Event { return htmlEvent("price", text) },
		[]string{"", "2", "3", ""}, "",
	},
	{
		"htmx 4",
		`<script src="/node_modules/htmx.org/dist/htmx.js"></script><script src="/node_modules/htmx.org/dist/ext/hx-sse.js"></script>
		<ul id="list" hx-sse:connect="feed" hx-swap="beforeend"></ul>`,
		func(text string) core.Event { return htmlEvent("", text) },
		[]string{"", "2", "3", "3"}, "",
	},
	{
		"datastar",
		`<script>document.addEventListener("datastar-fetch", (e) => window.finished ||= e.detail.type === "finished")</script>
		<script type="module" src="/datastar/datastar.js"></script>
		<ul id="list" data-on-load="@get('feed')"></ul>`,
		func(text string) core.Event { return datastarPatch("#list", "append", "<li>"+text+"</li>") },
		[]string{"", "2"}, `window.finished`,
	},
	{
		"turbo",
		`<script type="module" src="/node_modules/@hotwired/turbo/dist/turbo.es2017-esm.js"></script>
		<turbo-stream-source src="feed"></turbo-stream-source><ul id="list"></ul>`,
		func(text string) core.Event { return turboStream("append", "list", "<li>"+text+"</li>") },
		[]string{"", "2", "3"}, `document.querySelector("turbo-stream-source").streamSource.readyState === EventSource.CLOSED`,
	},
}

// A feed sends events 1 and 2 and is broken off when the page has them, sends 3 to those who
// come back with the ID 2 and ends, and answers 204 to those who come back with 3, once. Later
// connections stay open.
type feed struct {
	event func(text string) core.Event
	shown chan struct{} // closed when the page has 1 and 2: a break may cost what was sent just before

	mu    sync.Mutex
	comes []string
}

func (f *feed) view(w http.ResponseWriter, r *http.Request) core.Stream {
	last := core.LastEventID(r.Context())
	f.mu.Lock()
	f.comes = append(f.comes, last)
	n := len(f.comes)
	f.mu.Unlock()
	number := func(n int) core.Event {
		e := f.event(strconv.Itoa(n))
		e.ID = strconv.Itoa(n)
		return e
	}
	switch {
	case n == 1:
		return func(yield func(core.Event, error) bool) {
			if yield(number(1), nil) && yield(number(2), nil) {
				select {
				case <-f.shown:
				case <-r.Context().Done():
				}
				yield(core.Event{}, errOut)
			}
		}
	case n == 2 && last == "2":
		return func(yield func(core.Event, error) bool) { yield(number(3), nil) }
	case n == 3 && last == "3":
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return func(func(core.Event, error) bool) { <-r.Context().Done() }
}

func (f *feed) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.comes)
}

// testPages uses streams in pages in Chromium.
func testPages(t *testing.T, dir string) {
	t.Helper()
	bundle(t, dir, "usechat.jsx", "usechat.js")
	browsertest.RunIn(t, "chromium", func(t *testing.T, b browser.Profile) {
		for mode, opts := range map[string][]core.Option{"plain": nil, "detached": {core.WithDetach()}} {
			opts = append(opts, core.WithRetry(20*time.Millisecond))
			for _, lib := range libraries {
				t.Run(lib.name+", "+mode, func(t *testing.T) { testLibrary(t, b, dir, lib, opts) })
			}
			t.Run("useChat, "+mode, func(t *testing.T) { testUseChat(t, b, dir, opts) })
		}
		testExamples(t, b, dir)
	})
}

// bundle puts a module and what it imports into one file.
func bundle(t *testing.T, dir, module, file string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Program(t, "node"), "node_modules/esbuild/bin/esbuild", module,
		"--bundle", "--format=esm", "--jsx=automatic", "--outfile="+file)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("esbuild: %v\n%s", err, out)
	}
}

func testLibrary(t *testing.T, b browser.Profile, dir string, lib library, opts []core.Option) {
	t.Helper()
	f := &feed{event: lib.event, shown: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.Handle("/feed", nethttpsse.Handler(f.view, opts...))
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!doctype html>"+lib.page) })
	p := browsertest.Open(t, b, hosttest.Serve(t, mux)+"/page")
	p.Wait(`document.querySelectorAll("#list li").length === 2`)
	close(f.shown)
	hosttest.EventuallyWithin(t, patience/2, fmt.Sprintf("connections with the IDs %q", lib.comes), func() bool {
		return slices.Equal(f.seen(), lib.comes)
	})
	p.Wait(`document.querySelectorAll("#list li").length >= 3`)
	if got, want := p.Text(`[...document.querySelectorAll("#list li")].map((li) => li.textContent).join()`), "1,2,3"; got != want {
		t.Errorf("got the list %s, want %s", got, want)
	}
	if lib.ended != "" {
		p.Wait(lib.ended)
	}
}

// A page with useChat goes on after a reload, a button stops the answer, and an answer that
// fails is an error.
func testUseChat(t *testing.T, b browser.Profile, dir string, opts []core.Option) {
	t.Helper()
	tokens := make(chan string)
	var n atomic.Int64
	var stored atomic.Value // of JSON
	stored.Store(json.RawMessage("[]"))
	model := func(ctx context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for token := range core.Receive(ctx, tokens) {
				if token == "fail" {
					yield("", errOut)
					return
				}
				if token == "end" || !yield(token, nil) {
					return
				}
			}
			yield("", context.Cause(ctx))
		}
	}
	name := t.Name()
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<!doctype html><body><script type="module" src="/usechat.js"></script>`)
	})
	mux.HandleFunc("GET /stored", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stored.Load().(json.RawMessage)) })
	mux.Handle("POST /api/chat", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		var body struct {
			Messages json.RawMessage `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			core.Refuse(r.Context(), err)
		}
		stored.Store(body.Messages)
		return startChat(r.Context(), name, "answer-"+strconv.FormatInt(n.Add(1), 10), model)
	}, opts...))
	mux.Handle("GET /api/chat/one/stream", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return resumeChat(r.Context(), name)
	}, opts...))
	mux.HandleFunc("DELETE /api/chat/one", func(w http.ResponseWriter, r *http.Request) {
		if err := stopChat(r.Context(), name); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	say := func(all ...string) {
		t.Helper()
		for _, token := range all {
			select {
			case tokens <- token:
			case <-time.After(patience):
				t.Fatal("the model is not asked")
			}
		}
	}
	p := browsertest.Open(t, b, hosttest.Serve(t, mux)+"/page")
	reads := func(want, status string) {
		t.Helper()
		p.Wait(fmt.Sprintf(`[...document.querySelectorAll(".assistant")].at(-1)?.textContent === %q &&
			document.querySelector("main").dataset.status === %q`, want, status))
	}
	p.Wait(`document.querySelector("main")?.dataset.status === "ready"`)
	p.Click("#ask")
	say("Be")
	reads("Be", "streaming")
	p.Visit(p.Text(`location.href`))
	reads("Be", "streaming")
	say("cause", "end")
	reads("Because", "ready")
	p.Click("#ask")
	say("So")
	reads("So", "streaming")
	p.Click("#stop")
	reads("So", "ready")
	p.Click("#ask")
	say("Hm")
	reads("Hm", "streaming") // a response that breaks may lack what was sent just before
	say("fail")
	reads("Hm", "error")
	if got := p.Text(`document.querySelector(".error").textContent`); !strings.Contains(got, "network error") {
		t.Errorf("got the error %q, want a network error", got)
	}
}
