package frontends_test

import (
	"bytes"
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
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A library puts events into a page without a line of JavaScript.
type library struct {
	name  string
	page  string // its list has the ID "list"; {dir} is where the packages are
	event func(text string) core.Event

	ends, empty, refused script
	pauses               bool // while the page is hidden
	named                bool // an event with another type becomes a DOM event
}

// A script is what happens with a [feed].
type script struct {
	comes []string // the last event ID of each connection
	list  string   // what the page shows at last
	gone  string   // a condition that holds when it will not come back, or "" if it does
}

const (
	finished = `window.finished`
	closed   = `document.querySelector("turbo-stream-source").streamSource.readyState === EventSource.CLOSED`
)

var libraries = []library{
	{
		"htmx 2",
		`<script src="{dir}/node_modules/htmx2/dist/htmx.js"></script><script src="{dir}/node_modules/htmx-ext-sse/sse.js"></script>
		<div hx-ext="sse" sse-connect="feed"><ul id="list" sse-swap="price" hx-swap="beforeend"></ul></div>`,
		func(text string) core.Event { return htmlEvent("price", text) },
		script{[]string{"", "2", "3", ""}, "1,2,3,1,2,3", ""}, script{[]string{"", "2", ""}, "1,2,1,2,3", ""},
		script{[]string{"", "2", ""}, "1,2,1,2,3", ""}, false, false,
	},
	{
		"htmx 4",
		`<script src="{dir}/node_modules/htmx.org/dist/htmx.js"></script><script src="{dir}/node_modules/htmx.org/dist/ext/hx-sse.js"></script>
		<ul id="list" hx-sse:connect="feed" hx-swap="beforeend"></ul>`,
		func(text string) core.Event { return htmlEvent("", text) },
		script{[]string{"", "2", "3", "3"}, "1,2,3", ""}, script{[]string{"", "2", "2"}, "1,2,3", ""},
		script{[]string{"", "2", "2"}, "1,2,3", ""}, true, true,
	},
	{
		"datastar",
		`<script>document.addEventListener("datastar-fetch", (e) => window.finished ||= e.detail.type === "finished")</script>
		<script type="module" src="{dir}/datastar/datastar.js"></script>
		<ul id="list" data-on-load="@get('feed')"></ul>`,
		func(text string) core.Event { return datastarPatch("#list", "append", "<li>"+text+"</li>") },
		script{[]string{"", "2"}, "1,2,3", finished}, script{[]string{"", "2"}, "1,2", finished},
		script{[]string{"", "2"}, "1,2", finished}, true, false,
	},
	{
		"turbo",
		`<script type="module" src="{dir}/node_modules/@hotwired/turbo/dist/turbo.es2017-esm.js"></script>
		<turbo-stream-source src="feed"></turbo-stream-source><ul id="list"></ul>`,
		func(text string) core.Event { return turboStream("append", "list", "<li>"+text+"</li>") },
		script{[]string{"", "2", "3"}, "1,2,3", closed}, script{[]string{"", "2"}, "1,2", closed},
		script{[]string{"", "2"}, "1,2", closed}, false, false,
	},
}

// A feed sends events 1 and 2 and is broken off when the page has them. If it is empty or
// refuses, the next connection gets a 204 or a 503. If not, it sends 3 to those who come back with the ID 2 and ends, and
// answers 204 to those who come back with 3, once. Later connections get all events after their
// ID, and stay open.
type feed struct {
	event   func(text string) core.Event
	empty   bool
	refuses bool
	shown   chan struct{} // closed when the page has 1 and 2: a break may cost what was sent just before

	mu    sync.Mutex
	comes []string
}

func (f *feed) view(ctx context.Context, _ string) core.Stream {
	last := strings.Clone(core.LastEventID(ctx))
	f.mu.Lock()
	f.comes = append(f.comes, last)
	n := len(f.comes)
	f.mu.Unlock()
	after, _ := strconv.Atoi(last) // 0 without an ID
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
				case <-ctx.Done():
				}
				yield(core.Event{}, errOut)
			}
		}
	case n == 2 && f.refuses:
		core.Refuse(ctx, errOut)
		return nil
	case n == 2 && f.empty:
		return nil
	case n == 2 && after == 2:
		return func(yield func(core.Event, error) bool) { yield(number(3), nil) }
	case n == 3 && after == 3 && !f.empty && !f.refuses:
		return nil
	}
	return func(yield func(core.Event, error) bool) {
		for n := after + 1; n <= 3; n++ {
			if !yield(number(n), nil) {
				return
			}
		}
		<-ctx.Done()
	}
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
	packages := http.FileServer(http.Dir(dir))
	files := hosttest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // pages of other servers load modules
		packages.ServeHTTP(w, r)
	}))
	browsertest.RunIn(t, "chromium", func(t *testing.T, b browser.Profile) {
		t.Run("libraries", func(t *testing.T) {
			for _, lib := range libraries {
				lib.page = strings.ReplaceAll(lib.page, "{dir}", files)
				for _, framework := range hosts.Frameworks() {
					for mode, opts := range modes() {
						t.Run(lib.name+", "+framework+", "+mode, func(t *testing.T) {
							t.Parallel()
							testLibrary(t, b, lib, framework, opts)
						})
					}
				}
			}
		})
		for mode, opts := range modes() {
			t.Run("useChat, "+mode, func(t *testing.T) { testUseChat(t, b, dir, opts) })
		}
		testExamples(t, b, dir)
	})
}

// modes returns the options of plain and of detached streams.
func modes() map[string][]core.Option {
	return map[string][]core.Option{
		"plain":    {core.WithRetry(20 * time.Millisecond)},
		"detached": {core.WithRetry(20 * time.Millisecond), core.WithDetach()},
	}
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

// openWith shows what a library wants, in a page of the server at base.
func openWith(t *testing.T, b browser.Profile, lib library, base string) *browsertest.Page {
	t.Helper()
	p := browsertest.Open(t, b, base+"/page")
	p.Do(fmt.Sprintf("document.open(); document.write(%q); document.close()", "<!doctype html>"+lib.page))
	return p
}

// list is what the page's list shows.
const list = `[...document.querySelectorAll("#list li")].map((li) => li.textContent).join()`

func testLibrary(t *testing.T, b browser.Profile, lib library, framework string, opts []core.Option) {
	t.Helper()
	testFeed(t, b, lib, framework, &feed{event: lib.event}, lib.ends, opts)
	if framework != "net/http" { // the rest is the library's own
		return
	}
	testFeed(t, b, lib, framework, &feed{event: lib.event, empty: true}, lib.empty, opts)
	testFeed(t, b, lib, framework, &feed{event: lib.event, refuses: true}, lib.refused, opts)
	testHidden(t, b, lib, framework, opts)
}

func testFeed(t *testing.T, b browser.Profile, lib library, framework string, f *feed, want script, opts []core.Option) {
	t.Helper()
	f.shown = make(chan struct{})
	base := hosts.ServeViews(t, framework, []hosts.View{{Method: http.MethodGet, Path: "/feed", Stream: f.view}}, opts...)
	p := openWith(t, b, lib, base)
	p.Wait(list + ` === "1,2"`)
	close(f.shown)
	hosttest.EventuallyWithin(t, patience/2, fmt.Sprintf("connections with the IDs %q", want.comes), func() bool {
		return slices.Equal(f.seen(), want.comes)
	})
	p.Wait(fmt.Sprintf("%s === %q", list, want.list))
	if want.gone != "" {
		p.Wait(want.gone)
	}
	p.Close()
}

// A page that is hidden goes on, or pauses its stream and resumes it with the ID. An event that
// a library does not put into the page counts, too.
func testHidden(t *testing.T, b browser.Profile, lib library, framework string, opts []core.Option) {
	t.Helper()
	var room hub.Hub
	connections := make(chan string, 10)
	base := hosts.ServeViews(t, framework, []hosts.View{{
		Method: http.MethodGet, Path: "/feed",
		Stream: func(ctx context.Context, _ string) core.Stream {
			connections <- strings.Clone(core.LastEventID(ctx))
			return room.SubscribeFrom(ctx, hub.Oldest, "prices")
		},
	}}, opts...)
	publish := func(e core.Event) (id string) {
		t.Helper()
		id, err := room.Publish(t.Context(), "prices", e)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	last := publish(lib.event("1"))
	p := openWith(t, b, lib, base)
	p.Wait(list + ` === "1"`)
	if lib.named {
		p.Do(`document.addEventListener("notice", (e) => window.notice = e.detail.data)`)
		last = publish(core.Event{Type: "notice", Data: "soon"})
		p.Wait(`window.notice === "soon"`)
	}
	show := func(visible bool) {
		p.Do(fmt.Sprintf(`Object.defineProperty(document, "hidden", { configurable: true, value: %t });
			document.dispatchEvent(new Event("visibilitychange"));`, !visible))
	}
	show(false)
	if lib.pauses {
		hosttest.EventuallyWithin(t, patience/2, "no subscription of the hidden page", func() bool { return room.Len("prices") == 0 })
		publish(lib.event("2"))
		show(true)
	} else {
		publish(lib.event("2"))
	}
	p.Wait(list + ` === "1,2"`)
	if first := hosttest.Receive(t, connections, "a connection"); first != "" {
		t.Errorf("got a first connection with the ID %q", first)
	}
	if lib.pauses {
		if got := hosttest.Receive(t, connections, "another connection"); got != last {
			t.Errorf("got a connection with the ID %q, want %q", got, last)
		}
	}
	if n := len(connections); n > 0 {
		t.Errorf("got %d more connections", n)
	}
}

// A page with useChat goes on after a reload, a button stops the answer, and an answer that
// fails is an error, but a tool that fails is not.
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
		if bytes.Contains(body.Messages, []byte("rain")) {
			return withTool("answer-tool", func() (any, error) { return nil, errOut })
		}
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
	p.Click("#tool")
	p.Wait(`document.querySelector(".tool")?.textContent === "output-error: the tool has failed" &&
		document.querySelector("main").dataset.status === "ready"`)
}
