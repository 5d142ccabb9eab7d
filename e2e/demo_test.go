package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/yieldsse/yieldsse/core"
)

// patience is how long one step in the browser may take.
const patience = 20 * time.Second

// newBrowser starts a Chromium. A test without one is skipped, but not in CI.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	var path string
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell"}
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no browser: want one of %s in the PATH", strings.Join(names, ", "))
		}
		t.Skipf("no browser: install one of %s to run this test", strings.Join(names, ", "))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // root has none
		chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // it waits for the browser's end
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("cannot start %s: %v", path, err)
	}
	return ctx
}

// A demo is the program that runs.
type demo struct {
	cmd  *exec.Cmd
	urls map[string]string // by the framework's name
}

var frameworks = []string{"gin", "echo", "fiber", "net/http"}

// startDemo builds the demo and runs it on free ports.
func startDemo(t *testing.T, tick string) *demo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo")
	build := exec.Command("go", "build", "-o", path, "./examples/demo")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	d := &demo{cmd: exec.Command(path, "-addr", "127.0.0.1:0", "-tick", tick), urls: map[string]string{}}
	var stderr bytes.Buffer
	d.cmd.Stderr = &stderr
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the demo says: %s", &stderr)
		}
	})
	served := regexp.MustCompile(`^ +(\S+) +(http://\S+)$`)
	lines := bufio.NewScanner(stdout)
	for len(d.urls) < len(frameworks) && lines.Scan() {
		if m := served.FindStringSubmatch(lines.Text()); m != nil {
			d.urls[m[1]] = m[2]
		}
	}
	if len(d.urls) != len(frameworks) {
		t.Fatalf("got the addresses %v, want one for each of %v", d.urls, frameworks)
	}
	return d
}

// A page is a tab that shows the demo.
type page struct {
	*testing.T
	ctx context.Context
}

// open opens a page, and keeps a history of the states of each card.
func open(t *testing.T, browser context.Context, url string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	p := &page{T: t, ctx: ctx}
	p.watch()
	t.Cleanup(func() {
		if faults := p.text(`faults.join("; ")`); faults != "" {
			t.Errorf("the page has thrown: %s", faults)
		}
	})
	return p
}

// watch begins the history of the page as it is now loaded.
func (p *page) watch() {
	p.Helper()
	p.do(`
		window.faults = [];
		addEventListener("error", (e) => faults.push(e.message));
		addEventListener("unhandledrejection", (e) => faults.push(String(e.reason)));
		window.past = {};
		for (const card of document.querySelectorAll(".card")) {
			const states = past[card.id] = [card.dataset.state];
			new MutationObserver(() => states.push(card.dataset.state)).observe(card, { attributeFilter: ["data-state"] });
		}
		window.card = (id) => document.getElementById(id);
		window.rows = (id) => [...card(id).querySelectorAll(".log li")].map((li) => ({
			id: li.querySelector(".id").textContent,
			type: li.querySelector(".type").textContent,
			time: li.querySelector("time").textContent,
			data: li.querySelector(".data").textContent,
		}));
		window.past.since = (id, ...wanted) => {
			let n = 0;
			for (const state of past[id]) if (state === wanted[n]) n++;
			return n === wanted.length;
		};`)
}

// show scrolls a card into view: some open when they are seen.
func (p *page) show(id string) {
	p.Helper()
	p.do(fmt.Sprintf(`card(%q).scrollIntoView()`, id))
}

func (p *page) do(js string) {
	p.Helper()
	run(p, chromedp.Evaluate[chromedp.Void]("{"+js+"}"))
}

func (p *page) text(js string) string {
	p.Helper()
	return run(p, chromedp.Evaluate[string](js))
}

// wait waits until a condition holds.
func (p *page) wait(js string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	poll := chromedp.Poll[chromedp.Void]("!!("+js+")", chromedp.WithPollingInterval(10*time.Millisecond), chromedp.WithPollingTimeout(patience))
	if _, err := chromedp.Run(ctx, poll); err != nil {
		now, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](
			`JSON.stringify([...document.querySelectorAll(".card")].map((c) => [c.id, past[c.id], c.querySelector(".why").textContent]))`))
		p.Fatalf("waited for %s: %v; the cards' states: %s", js, err, now)
	}
}

// click clicks as a person does: on what can be seen.
func (p *page) click(selector string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.ScrollIntoView(selector), chromedp.Click(selector)); err != nil {
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

// state waits for a card's state, and returns how the card explains it.
func (p *page) state(id, state string) (why string) {
	p.Helper()
	p.wait(fmt.Sprintf(`card(%q).dataset.state === %q`, id, state))
	return p.text(fmt.Sprintf(`card(%q).querySelector(".why").textContent`, id))
}

// passed waits until a card has gone through states, in this order.
func (p *page) passed(id string, states ...string) {
	p.Helper()
	list, err := json.Marshal(states)
	if err != nil {
		p.Fatal(err)
	}
	p.wait(fmt.Sprintf(`past.since(%q, ...%s)`, id, list))
}

// A row is an event as the page shows it.
type row struct{ ID, Type, Time, Data string }

// rows waits for n rows of a card.
func (p *page) rows(id string, n int) []row {
	p.Helper()
	p.wait(fmt.Sprintf(`rows(%q).length >= %d`, id, n))
	return run(p, chromedp.Evaluate[[]row](fmt.Sprintf(`rows(%q).map((r) => ({ ID: r.id, Type: r.type, Time: r.time, Data: r.data }))`, id)))
}

func run[T any](p *page, a chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.Fatal(err)
	}
	return v
}

func (p *page) wantIn(got, want string) {
	p.Helper()
	if !strings.Contains(got, want) {
		p.Errorf("got %q, want %q in it", got, want)
	}
}

// Every card does what it is there for, on each framework; then the demo stops,
// while the browser is connected.
func TestDemo(t *testing.T) {
	browser := newBrowser(t)
	d := startDemo(t, "40ms")
	for _, name := range frameworks {
		t.Run(name, func(t *testing.T) {
			p := open(t, browser, d.urls[name])
			p.wait(fmt.Sprintf(`document.querySelector("#served").textContent === "This page and its streams are served by %s."`, name))
			for _, card := range []struct {
				name string
				test func(p *page, url string)
			}{
				{"ticker", testTicker}, {"news", testNews},
				{"stream", testStream}, {"time", testTime}, {"progress", testProgress}, {"events", testEvents},
				{"notice", testNotice}, {"pause", testPause}, {"tokens", testTokens}, {"fail", testFail},
			} {
				if !t.Run(card.name, func(t *testing.T) { card.test(&page{T: t, ctx: p.ctx}, d.urls[name]) }) {
					return // cards share the page's connections
				}
			}
			p.wait(`document.querySelector("#meter").textContent === "0 of 6 connections in use"`)
		})
	}

	p := open(t, browser, d.urls["fiber"])
	p.show("stream")
	p.state("stream", "open")
	begin := time.Now()
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("got %v at the end, want exit code 0", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v to stop, want at most 2 s", took)
	}
	p.passed("stream", "open", "waiting")
}

func testStream(p *page, _ string) {
	p.show("stream")
	p.state("stream", "open")
	before := len(p.rows("stream", 3))
	p.click("#stream .drop")
	p.passed("stream", "open", "waiting", "open")
	p.wait(`card("stream").querySelector(".why").textContent.includes("the browser sent Last-Event-ID")`)
	rows := p.rows("stream", before+3)
	p.click("#stream .toggle")
	p.wantIn(p.state("stream", "closed"), "You have closed it")

	first, err := strconv.Atoi(strings.TrimPrefix(rows[0].ID, "id "))
	if err != nil {
		p.Fatal(err)
	}
	for i, r := range rows {
		if want := fmt.Sprintf("id %d", first+i); r.ID != want || r.Type != "add" {
			p.Fatalf("row %d: got %q and %q, want %q and %q", i, r.ID, r.Type, want, "add")
		}
		var message []string
		err := json.Unmarshal([]byte(r.Data), &message)
		if err != nil || len(message) != 2 || !strings.HasPrefix(message[0], "当前时间: ") || message[1] != "Ada" {
			p.Errorf("row %d: got data %s, want the time and the user", i, r.Data)
		}
		if _, err := time.Parse(time.TimeOnly, r.Time); err != nil {
			p.Errorf("row %d: %v", i, err)
		}
	}
}

func testTime(p *page, _ string) {
	p.show("time")
	r := p.rows("time", 2)[1]
	clock := p.text(`card("time").querySelector(".clock").textContent`)
	p.click("#time .toggle")
	p.state("time", "closed")
	if r.ID != "no id" || r.Type != "message" || !strings.HasPrefix(r.Data, "The server time is: ") {
		p.Errorf("got %+v, want the server's time alone", r)
	}
	if _, err := time.Parse(time.TimeOnly, clock); err != nil {
		p.Error(err)
	}
}

func testProgress(p *page, _ string) {
	p.show("progress")
	p.passed("progress", "open", "waiting", "stopped")
	p.wantIn(p.state("progress", "stopped"), "204")
	if got, want := p.text(`card("progress").querySelector(".percent").textContent`), "100 %"; got != want {
		p.Errorf("got %q, want %q", got, want)
	}
	if got, want := p.text(`card("progress").querySelector(".progress").getAttribute("aria-valuenow")`), "100"; got != want {
		p.Errorf("got %q for assistive technology, want %q", got, want)
	}
	rows := p.rows("progress", 10)
	if last := rows[len(rows)-1]; last.ID != "id 100" || last.Type != "progress" || last.Data != "100" {
		p.Errorf("got %+v at the end, want 100", last)
	}
	p.set("#progress select", "unknown")
	p.click("#progress .toggle")
	p.wantIn(p.state("progress", "refused"), "404")
}

func testEvents(p *page, _ string) {
	p.click("#events .toggle")
	p.wantIn(p.state("events", "ended"), "done")
	rows := p.rows("events", 6)
	for i, r := range rows {
		typ := "message"
		if i == 5 {
			typ = "done"
		}
		if want := fmt.Sprintf("id %d", i+1); r.ID != want || r.Type != typ || r.Data == "" {
			p.Errorf("got %+v, want %q of type %q", r, want, typ)
		}
	}
	if got, want := len(rows), 6; got != want {
		p.Errorf("got %d events, want %d", got, want)
	}
}

func testNotice(p *page, _ string) {
	p.set("#notice [name=token]", "wrong")
	p.click("#notice .toggle")
	p.wantIn(p.state("notice", "refused"), "It answered 403 instead of a stream: wrong token")
	p.set("#notice [name=token]", "123")
	p.do(`past.notice.length = 0`)
	p.click("#notice .send") // which opens the stream
	p.passed("notice", "connecting", "open", "waiting", "stopped")
	p.wantIn(p.state("notice", "stopped"), "204")
	for _, r := range p.rows("notice", 1) {
		if r.Type != "notice" || r.Data == "" {
			p.Errorf("got %+v, want a notice", r)
		}
	}
}

func testPause(p *page, _ string) {
	p.click("#pause .toggle")
	p.passed("pause", "open", "paused", "connecting", "open")
	p.passed("pause", "open", "paused", "open", "paused")
	rows := p.rows("pause", 4)
	p.click("#pause .toggle")
	p.state("pause", "closed")
	last := rows[len(rows)-1]
	if _, err := strconv.ParseInt(last.Data, 10, 64); err != nil || last.Type != "pause" {
		p.Errorf("got %+v at the end, want a pause until a time in ms", last)
	}
}

func testTokens(p *page, url string) {
	const prompt = `Was sagst du zu "spaces  and	tabs", 世界?`
	p.set("#tokens [name=prompt]", prompt)
	p.click("#tokens .ask .main")
	p.passed("tokens", "connecting", "open", "ended")
	p.wantIn(p.state("tokens", "ended"), "ended cleanly")
	want := answer(p.T, url, prompt)
	p.wantIn(want, prompt)
	if got := p.text(`document.querySelector(".answer").textContent`); got != want {
		p.Errorf("got answer %q, want %q", got, want)
	}

	p.click("#tokens .bad")
	p.wantIn(p.state("tokens", "refused"), "It answered 400 instead of a stream: bad body")

	p.do(`
		const card = document.querySelector("#tokens"), button = card.querySelector(".ask .main");
		const stop = new MutationObserver(() => { // at once, for the answer is short
			if (card.dataset.state === "open" && card.querySelector(".answer").textContent.length > 10) {
				stop.disconnect();
				button.click();
			}
		});
		stop.observe(card, { subtree: true, childList: true, characterData: true });
		button.click();`)
	p.wantIn(p.state("tokens", "closed"), "You have stopped it")
}

// answer asks for the same without a browser.
func answer(t *testing.T, url, prompt string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"prompt": prompt})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/tokens", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text strings.Builder
	for e, err := range core.Read(res.Body) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(e.Data)
	}
	return text.String()
}

func testFail(p *page, _ string) {
	p.click("#fail .toggle")
	p.passed("fail", "connecting", "open", "broken")
	p.wantIn(p.state("fail", "broken"), "broke off")
	if got, want := len(p.rows("fail", 3)), 3; got != want {
		p.Errorf("got %d events, want %d", got, want)
	}
}

// A page of one framework reads the streams of the others.
func TestSwitch(t *testing.T) {
	browser := newBrowser(t)
	d := startDemo(t, "40ms")
	p := open(t, browser, d.urls["gin"])
	p.show("stream")
	p.state("stream", "open")
	for _, name := range []string{"echo", "fiber", "net/http", "gin"} {
		p.do(`past.stream.length = 0`)
		p.click(fmt.Sprintf(`#sites label:has([value=%q])`, name))
		p.passed("stream", "connecting", "open")
		p.rows("stream", 2)
		if got, want := p.text(`document.querySelector("#sites :checked").value`), name; got != want {
			t.Errorf("got %q chosen, want %q", got, want)
		}
		testTokens(p, d.urls[name])
		p.wait(fmt.Sprintf(`performance.getEntriesByType("resource").some((e) => e.name === %q)`, d.urls[name]+"/tokens"))
	}
}

// With more streams than a browser has connections, nothing gets stuck.
func TestConnections(t *testing.T) {
	browser := newBrowser(t)
	d := startDemo(t, "30s")
	p := open(t, browser, d.urls["net/http"])
	for _, id := range []string{"ticker", "news", "stream", "time", "progress"} {
		p.show(id)
		p.state(id, "open")
	}
	p.wait(`document.querySelector("#meter").textContent === "5 of 6 connections in use"`)

	// What a person opens goes before what the page has opened.
	p.join("Ada")
	for _, id := range []string{"events", "pause", "fail"} {
		p.click("#" + id + " .toggle")
		p.state(id, "open")
	}
	p.wait(`document.querySelectorAll(".card[data-state=closed]").length === 4`)
	p.click(".card[data-state=closed] .toggle")
	p.wait(`document.querySelectorAll(".card[data-state=open]").length === 5`)
	p.wait(`document.querySelectorAll(".card[data-state=closed]").length === 4`)

	// The sixth connection serves a request meanwhile, and a card that waits has
	// the one that becomes free.
	p.say("", "still there?")
	p.hears("You: still there?")
	p.click("#tokens .bad")
	p.wantIn(p.state("tokens", "queued"), "Five streams are open already")
	p.click("#pause .toggle")
	p.wantIn(p.state("tokens", "refused"), "400")
}

// The page fits a phone, and nothing in a card moves when its text changes.
func TestLayout(t *testing.T) {
	browser := newBrowser(t)
	d := startDemo(t, "40ms")
	for _, width := range []int64{320, 375, 600, 768, 1280} {
		t.Run(strconv.FormatInt(width, 10), func(t *testing.T) {
			p := open(t, browser, d.urls["gin"])
			run(p, chromedp.EmulateViewport(width, 812))
			p.join("Ada with a name so long")
			for _, id := range []string{"ticker", "news", "stream"} {
				p.show(id)
				p.state(id, "open")
			}
			p.wait(`document.querySelector("#ticker .count").textContent !== ""`)
			p.state("stream", "open")
			heights := `JSON.stringify([...document.querySelectorAll(".card .status, .card")].map((e) => e.offsetHeight))`
			before := p.text(heights)
			p.click("#ticker .toggle") // whose count has its own length
			p.click("#fail .toggle")
			p.state("fail", "broken")
			p.set("#notice [name=token]", "wrong")
			p.click("#notice .toggle")
			p.state("notice", "refused")
			p.click("#tokens .bad")
			p.state("tokens", "refused")
			if got := p.text(heights); got != before {
				t.Errorf("got heights %s, want %s as before", got, before)
			}
			p.wait(`document.documentElement.scrollWidth <= innerWidth`)
			if got := p.text(`[...document.querySelectorAll(".card")].filter((c) => c.scrollWidth > c.clientWidth || c.scrollHeight > c.clientHeight).map((c) => c.id).join()`); got != "" {
				t.Errorf("the cards %s do not hold what is in them", got)
			}
			if got := p.text(`[...document.querySelectorAll(".extra")].filter((e) => e.clientHeight > 0 && e.scrollHeight > e.clientHeight).map((e) => e.closest(".card").id).join()`); got != "" {
				t.Errorf("in the cards %s something lies upon the buttons", got)
			}
		})
	}
}
