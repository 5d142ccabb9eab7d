package frontends_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// local replaces the addresses from which the pages of examples load what they use, by those
// of the same versions here. The packages that a page's own script imports are bundled with it.
var local = strings.NewReplacer(
	"https://cdn.jsdelivr.net/npm/htmx.org@2.0.11/", "/node_modules/htmx2/",
	"https://cdn.jsdelivr.net/npm/htmx-ext-sse@2.2.4/", "/node_modules/htmx-ext-sse/",
	"https://cdn.jsdelivr.net/npm/htmx.org@4.0.1/", "/node_modules/htmx.org/",
	"https://cdn.jsdelivr.net/npm/@hotwired/turbo@8.0.23/", "/node_modules/@hotwired/turbo/",
	"https://cdn.jsdelivr.net/gh/starfederation/datastar@1.0.0-RC.5/bundles/", "/datastar/",
	`src="page.js"`, `src="/bundle/page.js"`,
)

// testExamples uses the examples that docs/frontends.md names, in a browser and with clients.
func testExamples(t *testing.T, b browser.Profile, dir string) {
	t.Helper()
	for example, paths := range map[string][]string{"htmx": {"/", "/htmx4.html"}, "datastar": {"/"}, "turbo": {"/"}} {
		t.Run("example "+example, func(t *testing.T) {
			base := serveExample(t, startExample(t, example), dir)
			var pages []*browsertest.Page
			for _, path := range append(paths, paths[0]) {
				pages = append(pages, browsertest.Open(t, b, base+path))
			}
			want := ""
			for i, p := range pages[:len(paths)] {
				for _, text := range []string{"one", "<two>"} {
					text += strconv.Itoa(i)
					p.Set("input", text)
					p.Click("button")
					p.Wait(`document.querySelector("input").value === ""`)
					want = text + "," + want
				}
			}
			for _, p := range append(pages, browsertest.Open(t, b, base)) {
				p.Wait(fmt.Sprintf(`[...document.querySelectorAll("li")].map((li) => li.textContent).join() + "," === %q`, want))
			}
		})
	}
	for example, clients := range map[string][]string{"openai": {"openai", "openai, runner"}, "anthropic": {"anthropic", "anthropic, helper"}} {
		t.Run("example "+example, func(t *testing.T) {
			base := startExample(t, example)
			var asked []result
			for _, client := range clients {
				asked = append(asked, result{Client: client, Base: base})
			}
			results := askNode(t, dir, "models.js", asked)
			if got, want := len(results), len(asked); got != want {
				t.Errorf("got %d answers, want %d", got, want)
			}
			for _, got := range results {
				checkExample(t, got)
			}
			bundleExample(t, dir, example)
			testChatPage(t, browsertest.Open(t, b, serveExample(t, base, dir)))
		})
	}
	t.Run("example mcp", func(t *testing.T) {
		base := startExample(t, "mcp")
		bundleExample(t, dir, "mcp")
		p := browsertest.Open(t, b, serveExample(t, base, dir))
		p.Wait(`document.querySelector("main p").textContent.includes("revision 2026-07-28")`)
		p.Click("button")
		p.Wait(`document.querySelector("progress").value > 0 && document.querySelector("button").disabled`)
		p.Wait(`document.querySelector("main p").textContent === "The report is ready." && !document.querySelector("button").disabled`)
		for client, revision := range mcpRevisions {
			for _, got := range askNode(t, dir, "mcp.js", []result{{Client: client, Base: base, Timeout: patience.Milliseconds()}}) {
				const want = "10 20 30 40 50 60 70 80 90 100, then The report is ready."
				if got.Text != want || got.Revision != revision || got.Error != "" {
					t.Errorf("got %+v, want %q and revision %s", got, want, revision)
				}
			}
		}
	})
	t.Run("example aisdk", func(t *testing.T) { testAISDK(t, b, dir) })
}

// An answer goes on when the page is reloaded, and a button stops it. If it ends after the page
// has loaded the messages and before it resumes, the page shows it, too.
func testAISDK(t *testing.T, b browser.Profile, dir string) {
	t.Helper()
	bundleExample(t, dir, "aisdk")
	base := startExample(t, "aisdk")
	example, resumes := exampleHandler(t, base, dir), make(chan struct{})
	p := browsertest.Open(t, b, hosttest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stream") {
			select {
			case resumes <- struct{}{}: // the test lets it resume
			case <-r.Context().Done():
				return
			}
		}
		example.ServeHTTP(w, r)
	})))
	resume := func() {
		t.Helper()
		hosttest.Receive(t, resumes, "a request to resume")
	}
	shows := func(want, status string) {
		t.Helper()
		p.Wait(fmt.Sprintf(`document.querySelector("main")?.dataset.status === %q && (%s).startsWith(%q)`, status, said, want))
	}
	resume()
	shows("", "ready")
	question := strings.Repeat("a long question ", 100) // two minutes, but the test stops it
	p.Set("input", question)
	p.Click("button")
	question = strings.TrimSpace(question) + "|"
	shows(question+"You have", "streaming")
	p.Visit(p.Text(`location.href`))
	resume()
	shows(question+"You have said: a long", "streaming")
	p.Click("button") // stop
	shows(question+"You have said: a long", "ready")
	p.Visit(p.Text(`location.href`))
	resume()
	shows(question+"You have said: a long", "ready")

	again := "Why is it " + strings.TrimSuffix(question, "|")
	asked := p.Text(said) + "|" + again
	p.Set("input", again)
	p.Click("button")
	shows(asked+"|You have", "streaming")
	p.Visit(p.Text(`location.href`))
	p.Wait(fmt.Sprintf(`%s === %q`, said, asked))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, base+"/api/chat/one", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hosttest.Do(t, req).Status, http.StatusOK; got != want {
		t.Fatalf("got status %d, want %d", got, want)
	}
	resume()
	shows(asked+"|You have", "ready")
}

// said is what a chat's page shows.
const said = `[...document.querySelectorAll("main p")].map((p) => p.textContent.trim()).join("|")`

// testChatPage asks, and stops an answer.
func testChatPage(t *testing.T, p *browsertest.Page) {
	t.Helper()
	const ready = `!document.querySelector("button").hidden`
	p.Set("input", "Why?")
	p.Click("button")
	p.Wait(said + ` === "Why?|You have said: Why?" && ` + ready)
	question := strings.TrimSpace(strings.Repeat("a long question ", 100)) // a minute, but the test stops it
	p.Set("input", question)
	p.Click("button")
	begun := fmt.Sprintf("(%s).startsWith(%q)", said, "Why?|You have said: Why?|"+question+"|You have said: a")
	p.Wait(begun)
	p.Click("button[type=button]")
	p.Wait(begun + " && " + ready)
	if n := browsertest.Eval[int](p, `document.querySelectorAll(".error").length`); n > 0 {
		t.Errorf("got %d errors\n%s", n, p.Shows())
	}
}

// checkExample checks what a client has made of an example's answer.
func checkExample(t *testing.T, got result) {
	t.Helper()
	if want := "You have said: Why? "; got.Text != want || got.Error != "" {
		t.Errorf("%s: got %q and the error %q, want %q", got.Client, got.Text, got.Error, want)
	}
}

// bundleExample bundles the script of an example's page.
func bundleExample(t *testing.T, dir, name string) {
	t.Helper()
	page, err := fs.ReadFile(os.DirFS("../../examples"), name+"/page.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "page.js"), page, 0o600); err != nil {
		t.Fatal(err)
	}
	bundle(t, dir, "page.js", "bundle/page.js")
}

// startExample runs an example, and returns its URL.
func startExample(t *testing.T, name string) string {
	t.Helper()
	bin, err := programs.Build("../../examples/"+name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	addr := testenv.Addr(t)
	testenv.Start(t, exec.Command(bin, "-addr", addr), "Open ")
	hosttest.Eventually(t, "the example listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return "http://" + addr
}

// serveExample returns the URL of an example that has the packages, too.
func serveExample(t *testing.T, base, dir string) string {
	t.Helper()
	return hosttest.Serve(t, exampleHandler(t, base, dir))
}

// exampleHandler is a proxy of an example that has the packages, too.
func exampleHandler(t *testing.T, base, dir string) http.Handler {
	t.Helper()
	example, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(example); r.Out.Host = r.In.Host },
		ModifyResponse: localize,
		ErrorLog:       log.New(io.Discard, "", 0), // of clients that leave
	}
	files := http.FileServer(http.Dir(dir))
	mux := http.NewServeMux()
	for _, folder := range []string{"/node_modules/", "/datastar/", "/bundle/"} {
		mux.Handle(folder, files)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // or the proxy may break a response that begins early: golang/go#40747
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})
	return mux
}

// localize lets a page load what it uses from here.
func localize(resp *http.Response) error {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return nil
	}
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	text := local.Replace(string(page))
	resp.Body = io.NopCloser(strings.NewReader(text))
	resp.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}
