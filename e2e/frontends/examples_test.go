package frontends_test

import (
	"fmt"
	"io"
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
// of the same versions here. useChat is bundled.
var local = strings.NewReplacer(
	"https://cdn.jsdelivr.net/npm/htmx.org@2.0.11/", "/node_modules/htmx2/",
	"https://cdn.jsdelivr.net/npm/htmx-ext-sse@2.2.4/", "/node_modules/htmx-ext-sse/",
	"https://cdn.jsdelivr.net/gh/starfederation/datastar@1.0.0-RC.5/bundles/", "/datastar/",
	`src="page.js"`, `src="/bundle/page.js"`,
)

// testExamples uses the examples that docs/frontends.md names, in a browser.
func testExamples(t *testing.T, b browser.Profile, dir string) {
	t.Helper()
	for _, name := range []string{"htmx", "datastar"} {
		t.Run("example "+name, func(t *testing.T) {
			base := serveExample(t, name, dir)
			first, second := browsertest.Open(t, b, base), browsertest.Open(t, b, base)
			for _, text := range []string{"one", "<two>"} {
				first.Set("input", text)
				first.Click("button")
				first.Wait(`document.querySelector("input").value === ""`)
			}
			for _, p := range []*browsertest.Page{first, second, browsertest.Open(t, b, base)} {
				p.Wait(`[...document.querySelectorAll("li")].map((li) => li.textContent).join() === "<two>,one"`)
			}
		})
	}
	t.Run("example aisdk", func(t *testing.T) {
		page, err := os.ReadFile("../../examples/aisdk/page.js")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "page.js"), page, 0o600); err != nil { //nolint:gosec // it is the test's
			t.Fatal(err)
		}
		bundle(t, dir, "page.js", "bundle/page.js")
		p := browsertest.Open(t, b, serveExample(t, "aisdk", dir))
		shows := func(want, status string) {
			t.Helper()
			p.Wait(fmt.Sprintf(`document.querySelector("main")?.dataset.status === %q &&
				[...document.querySelectorAll("p")].map((p) => p.textContent.trim()).join("|").startsWith(%q)`, status, want))
		}
		shows("", "ready")
		question := strings.Repeat("a long question ", 100) // two minutes, but the test stops it
		p.Set("input", question)
		p.Click("button")
		question = strings.TrimSpace(question) + "|"
		shows(question+"You have", "streaming")
		p.Visit(p.Text(`location.href`))
		shows(question+"You have said: a long", "streaming")
		p.Click("button") // stop
		shows(question+"You have said: a long", "ready")
		p.Visit(p.Text(`location.href`))
		shows(question+"You have said: a long", "ready")
	})
}

// serveExample runs an example, and returns the URL of a proxy of it that has the packages,
// too.
func serveExample(t *testing.T, name, dir string) string {
	t.Helper()
	bin, err := programs.Build("../../examples/"+name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	example := url.URL{Scheme: "http", Host: testenv.Addr(t)}
	testenv.Start(t, exec.Command(bin, "-addr", example.Host), "Open ")
	hosttest.Eventually(t, "the example listens", func() bool {
		c, err := net.Dial("tcp", example.Host)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(&example) },
		ModifyResponse: localize,
		ErrorLog:       log.New(io.Discard, "", 0), // of clients that leave
	}
	files := http.FileServer(http.Dir(dir))
	mux := http.NewServeMux()
	for _, folder := range []string{"/node_modules/", "/datastar/", "/bundle/"} {
		mux.Handle(folder, files)
	}
	mux.Handle("/", proxy)
	return hosttest.Serve(t, mux)
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
