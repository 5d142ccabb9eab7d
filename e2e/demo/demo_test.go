package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A demo is a running demo program.
type demo struct {
	cmd    *exec.Cmd
	urls   map[string]string // by framework
	client *http.Client      // trusts the demo's certificate, if there is one
}

func TestMain(m *testing.M) {
	browsertest.Main(m, "../../examples/demo")
}

// A page is a window that shows the demo.
type page struct{ *browsertest.Page }

func eval[T any](p *page, js string) T {
	p.Helper()
	return browsertest.Eval[T](p.Page, js)
}

// patience bounds each wait for the demo. Package browsertest bounds each wait for the
// browser.
const patience = time.Minute

// startDemo runs the demo on free ports, with a certificate if the protocol is
// HTTP/2.
func startDemo(t *testing.T, tick, protocol string) *demo {
	t.Helper()
	d := &demo{urls: map[string]string{}, client: http.DefaultClient}
	args := []string{"-addr", "127.0.0.1:0", "-tick", tick}
	if protocol == "HTTP/2" {
		dir := t.TempDir()
		d.client = programs.Client(t, programs.WriteCertificate(t, dir), "HTTP/2", "HTTP/1.1") // fiber needs HTTP/1.1
		args = append(args, "-cert", filepath.Join(dir, "example.pem"), "-key", filepath.Join(dir, "example.key"))
	}
	d.cmd = exec.Command(browsertest.Program(t), args...)
	served := regexp.MustCompile(`(?m)^ +(\S.*?) +(https?://\S+)$`)
	for _, m := range served.FindAllStringSubmatch(testenv.Start(t, d.cmd, "Ctrl-C"), -1) {
		d.urls[m[1]] = m[2]
	}
	if len(d.urls) != len(hosts.Frameworks()) {
		t.Fatalf("got the addresses %v, want one for each of %v", d.urls, hosts.Frameworks())
	}
	return d
}

// open opens a page of the demo, and keeps a history of the states of each card.
func open(t *testing.T, b browser.Profile, url string) *page {
	t.Helper()
	p := &page{browsertest.Open(t, b, url)}
	p.Resize(1280, 900)
	p.watch()
	t.Cleanup(p.sound)
	return p
}

// visit loads another page of the demo into the window.
func (p *page) visit(url string) {
	p.Helper()
	p.sound()
	p.Visit(url)
	p.watch()
}

// sound checks that the page that is loaded now has thrown nothing.
func (p *page) sound() {
	p.Helper()
	if faults := p.Text(`faults.join("; ")`); faults != "" {
		p.Errorf("the page threw: %s", faults)
	}
}

// watch begins the history of the page that is loaded now.
func (p *page) watch() {
	p.Helper()
	p.Do(`
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
		};
		window.report = () => "the cards' states: " + JSON.stringify([...document.querySelectorAll(".card")]
			.map((c) => [c.id, past[c.id], c.querySelector(".why").textContent]));`)
}

// show scrolls a card into view. Some cards open then.
func (p *page) show(id string) {
	p.Helper()
	p.Do(fmt.Sprintf(`card(%q).scrollIntoView()`, id))
}

// state waits for a card's state, and returns the card's explanation.
func (p *page) state(id, state string) (why string) {
	p.Helper()
	p.Wait(fmt.Sprintf(`card(%q).dataset.state === %q`, id, state))
	return p.Text(fmt.Sprintf(`card(%q).querySelector(".why").textContent`, id))
}

// passed waits until a card has gone through states, in this order.
func (p *page) passed(id string, states ...string) {
	p.Helper()
	list, err := json.Marshal(states)
	if err != nil {
		p.Fatal(err)
	}
	p.Wait(fmt.Sprintf(`past.since(%q, ...%s)`, id, list))
}

// A row is an event as the page shows it.
type row struct{ ID, Type, Time, Data string }

// rows waits for n rows of a card.
func (p *page) rows(id string, n int) []row {
	p.Helper()
	list := fmt.Sprintf(`rows(%q)`, id)
	return browsertest.When[[]row](p.Page, fmt.Sprintf("%s.length >= %d", list, n), list) // in one step, because a card may begin again
}

// Every card works on net/http and on fiber v3. Each other framework shares the code below
// one of them, so only the cards run there whose streams resume, break off or answer a
// POST, in one of the browsers: over HTTP/2 if the framework has it. On net/http, one browser uses
// HTTP/1.1 and the other one HTTP/2. Then the demo stops, while the browser is connected.
func TestDemo(t *testing.T) { inProtocols(t, testDemo) }

// protocols are the demo's protocols. With HTTP/2, fiber uses HTTP/1.1 over TLS.
var protocols = []string{"HTTP/1.1", "HTTP/2"}

// A cardTest tests a card. Some run on every framework.
type cardTest struct {
	name  string
	test  func(p *page, d *demo, framework string)
	every bool
}

var cardTests = []cardTest{
	{"ticker", testTicker, false}, {"news", testNews, false},
	{"stream", testStream, true}, {"time", testTime, false}, {"progress", testProgress, false}, {"events", testEvents, false},
	{"picture", testPicture, false},
	{"notice", testNotice, false}, {"pause", testPause, false}, {"tokens", testTokens, true}, {"fail", testFail, true},
}

func testDemo(t *testing.T, b browser.Profile, protocol string) {
	t.Helper()
	d := startDemo(t, "40ms", protocol)
	window := open(t, b, d.urls["gin"]) // one for all, because windows are slow to open
	for i, name := range hosts.Frameworks() {
		whole := name == "net/http" || name == "fiber v3"
		second := protocol == protocols[1]
		if browsertest.Second(t, i) != second || second && !hosts.HTTP2(name) || !whole && !second && hosts.HTTP2(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := &page{window.On(t)}
			p.visit(d.urls[name])
			p.Wait(fmt.Sprintf(`document.querySelector("#served").textContent === "This page and its streams are served by %s."`, name))
			p.spoke(name, protocol)
			for _, card := range cardTests {
				if !whole && !card.every {
					continue
				}
				if !t.Run(card.name, func(t *testing.T) { card.test(&page{p.On(t)}, d, name) }) {
					return // the cards share the page's connections
				}
			}
			if whole { // each card has been closed
				p.Wait(`document.querySelector("#meter").textContent === "0 of 6 connections in use"`)
			}
		})
	}

	p := window
	p.visit(d.urls["fiber v3"])
	p.show("stream")
	p.state("stream", "open")
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer late.Stop()
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("got %v at the end, want exit code 0", err)
	}
	p.passed("stream", "open", "waiting")
}

// spoke checks over which protocol the page and its files were loaded.
func (p *page) spoke(framework, protocol string) {
	p.Helper()
	want := "h2"
	if protocol == "HTTP/1.1" || !hosts.HTTP2(framework) {
		want = "http/1.1"
	}
	got := eval[[]string](p, `[...new Set(["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
		.map((e) => e.nextHopProtocol).filter((p) => p))]`)
	if !slices.Equal(got, []string{want}) {
		p.Errorf("got the protocols %q, want %q", got, want)
	}
}

func testStream(p *page, _ *demo, _ string) {
	p.show("stream")
	p.state("stream", "open")
	before := p.id(p.rows("stream", 3))
	p.Click("#stream .drop")
	p.passed("stream", "open", "waiting", "open")
	p.Wait(`card("stream").querySelector(".why").textContent.includes("the browser sent Last-Event-ID")`)
	p.Wait(fmt.Sprintf(`rows("stream").at(-1).id.slice(3) >= %d`, before+3))
	rows := p.rows("stream", 3)
	p.Click("#stream .toggle")
	p.WantIn(p.state("stream", "closed"), "You have closed it")

	first := p.id(rows[:1])
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

// id returns the number in the ID of the last row.
func (p *page) id(rows []row) int {
	p.Helper()
	id, err := strconv.Atoi(strings.TrimPrefix(rows[len(rows)-1].ID, "id "))
	if err != nil {
		p.Fatal(err)
	}
	return id
}

func testTime(p *page, _ *demo, _ string) {
	p.show("time")
	r := p.rows("time", 2)[1]
	clock := p.Text(`card("time").querySelector(".clock").textContent`)
	p.Click("#time .toggle")
	p.state("time", "closed")
	if r.ID != "no id" || r.Type != "message" || !strings.HasPrefix(r.Data, "The server time is: ") {
		p.Errorf("got %+v, want only the server's time", r)
	}
	if _, err := time.Parse(time.TimeOnly, clock); err != nil {
		p.Error(err)
	}
}

func testProgress(p *page, _ *demo, _ string) {
	p.show("progress")
	p.passed("progress", "open", "waiting", "stopped")
	p.WantIn(p.state("progress", "stopped"), "204")
	if got, want := p.Text(`card("progress").querySelector(".percent").textContent`), "100 %"; got != want {
		p.Errorf("got %q, want %q", got, want)
	}
	if got, want := p.Text(`card("progress").querySelector(".progress").getAttribute("aria-valuenow")`), "100"; got != want {
		p.Errorf("got %q for assistive technology, want %q", got, want)
	}
	rows := p.rows("progress", 10)
	if last := rows[len(rows)-1]; last.ID != "id 100" || last.Type != "progress" || last.Data != "100" {
		p.Errorf("got %+v at the end, want 100", last)
	}
	p.Set("#progress select", "unknown")
	p.Click("#progress .toggle")
	p.WantIn(p.state("progress", "refused"), "404")
}

func testEvents(p *page, _ *demo, _ string) {
	p.Click("#events .toggle")
	p.WantIn(p.state("events", "ended"), "done")
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

func testPicture(p *page, _ *demo, _ string) {
	const blank = `(() => {
		const { width, height } = card("picture").querySelector("canvas");
		const pixels = card("picture").querySelector("canvas").getContext("2d").getImageData(0, 0, width, height).data;
		return pixels.filter((value, i) => i % 4 === 3 && value === 0).length;
	})()`
	if got, want := eval[int](p, blank), 384*240; got != want {
		p.Errorf("got %d blank pixels at first, want all %d", got, want)
	}
	p.Click("#picture .toggle")
	p.WantIn(p.state("picture", "ended"), "done")
	p.Wait(blank + " === 0")
	p.Wait(`card("picture").querySelector(".count").textContent.startsWith("40 tiles, ")`) // each once
}

func testNotice(p *page, _ *demo, _ string) {
	p.Set("#notice [name=token]", "wrong")
	p.Click("#notice .toggle")
	p.WantIn(p.state("notice", "refused"), "The server answered 403 instead of a stream: wrong token")
	p.Set("#notice [name=token]", "123")
	p.Do(`past.notice.length = 0`)
	p.Click("#notice .send") // opens the stream
	p.passed("notice", "connecting", "open", "waiting", "stopped")
	p.WantIn(p.state("notice", "stopped"), "204")
	for _, r := range p.rows("notice", 1) {
		if r.Type != "notice" || r.Data == "" {
			p.Errorf("got %+v, want a notice", r)
		}
	}
}

func testPause(p *page, _ *demo, _ string) {
	p.Click("#pause .toggle")
	p.passed("pause", "open", "paused", "connecting", "open")
	p.passed("pause", "open", "paused", "open", "paused")
	rows := p.rows("pause", 4)
	p.Click("#pause .toggle")
	p.state("pause", "closed")
	last := rows[len(rows)-1]
	if _, err := strconv.ParseInt(last.Data, 10, 64); err != nil || last.Type != "pause" {
		p.Errorf("got %+v at the end, want a pause until a time in ms", last)
	}
}

func testTokens(p *page, d *demo, name string) {
	const prompt = `Was sagst du zu "spaces  and	tabs", 世界?`
	p.Set("#tokens [name=prompt]", prompt)
	p.Click("#tokens .ask .main")
	p.passed("tokens", "connecting", "open", "ended")
	p.WantIn(p.state("tokens", "ended"), "ended cleanly")
	want := d.answer(p.T, name, prompt)
	p.WantIn(want, prompt)
	if got := p.Text(`document.querySelector(".answer").textContent`); got != want {
		p.Errorf("got answer %q, want %q", got, want)
	}

	p.Click("#tokens .bad")
	p.WantIn(p.state("tokens", "refused"), "The server answered 400 instead of a stream: bad body")

	p.Do(`
		const card = document.querySelector("#tokens"), button = card.querySelector(".ask .main");
		const stop = new MutationObserver(() => { // without delay, because the answer is short
			if (card.dataset.state === "open" && card.querySelector(".answer").textContent.length > 10) {
				stop.disconnect();
				button.click();
			}
		});
		stop.observe(card, { subtree: true, childList: true, characterData: true });
		button.click();`)
	p.WantIn(p.state("tokens", "closed"), "You have stopped it")
}

// answer requests the same answer without a browser.
func (d *demo) answer(t *testing.T, name, prompt string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"prompt": prompt})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.urls[name]+"/tokens", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.client.Do(req)
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

func testFail(p *page, _ *demo, _ string) {
	var rows []row
	for range 10 { // fetch discards what a slow page has not read before the break
		p.Click("#fail .toggle")
		p.passed("fail", "connecting", "open", "broken")
		p.WantIn(p.state("fail", "broken"), "broke off")
		if rows = eval[[]row](p, `rows("fail")`); len(rows) > 0 {
			break
		}
	}
	if len(rows) == 0 {
		p.Error("got no row before the break, ten times")
	}
	for i, r := range rows {
		if want := fmt.Sprintf("Row %d of 1000", i+1); i >= 3 || r.Data != want {
			p.Errorf("row %d: got %+v, want %q and at most three rows", i+1, r, want)
		}
	}
}

// Without a click, and without being scrolled, the page is alive: prices move, news come and
// a stream counts, in a small window as in a large one.
func TestOpening(t *testing.T) { inOne(t, "firefox", testOpening) }

func testOpening(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "40ms", "HTTP/1.1")
	p := open(t, b, d.urls["gin"])
	for _, size := range [][2]int{{1280, 900}, {375, 812}} {
		p.Resize(size[0], size[1])
		p.visit(d.urls["gin"])
		for _, id := range []string{"ticker", "news", "stream"} {
			p.state(id, "open")
		}
		const price = `document.querySelector("#ticker tbody tr .price")?.textContent`
		p.Wait(price + ` !== undefined`)
		before := p.Text(price)
		p.Wait(fmt.Sprintf(`%s !== %q`, price, before))
		p.Wait(`document.querySelectorAll("#news .log li").length >= 6`)
		p.rows("stream", 3)
		if got := eval[float64](p, `scrollY`); got != 0 {
			t.Errorf("the page is scrolled by %v px, want none", got)
		}
	}
}

// A page of one framework reads the streams of the others.
func TestSwitch(t *testing.T) { inOne(t, "chromium", testSwitch) }

func testSwitch(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "60ms", "HTTP/1.1")
	p := open(t, b, d.urls["gin"])
	p.show("stream")
	p.state("stream", "open")
	for _, name := range append(hosts.Frameworks()[1:], "gin") {
		p.Do(`past.stream.length = past.tokens.length = 0`)
		p.Click(fmt.Sprintf(`#sites label:has([value=%q])`, name))
		p.passed("stream", "connecting", "open")
		p.rows("stream", 2)
		if got, want := p.Text(`document.querySelector("#sites :checked").value`), name; got != want {
			t.Errorf("got %q chosen, want %q", got, want)
		}
		p.Click("#tokens .ask .main")
		p.passed("tokens", "connecting", "open", "ended")
		want := d.answer(t, name, p.Text(`document.querySelector("#tokens [name=prompt]").value`))
		if got := p.Text(`document.querySelector(".answer").textContent`); got != want {
			t.Errorf("%s: got answer %q, want %q", name, got, want)
		}
		p.Wait(fmt.Sprintf(`performance.getEntriesByType("resource").some((e) => e.name === %q)`, d.urls[name]+"/tokens"))
	}
}

// openFive shows the five cards that open when they are seen.
func (p *page) openFive() {
	p.Helper()
	for _, id := range []string{"ticker", "news", "stream", "time", "progress"} {
		p.show(id)
		p.state(id, "open")
	}
}

// With more streams than a browser has connections, nothing gets stuck.
func TestConnections(t *testing.T) { inOne(t, "firefox", testConnections) }

func testConnections(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "30s", "HTTP/1.1")
	p := open(t, b, d.urls["net/http"])
	p.openFive()
	p.Wait(`document.querySelector("#meter").textContent === "5 of 6 connections in use"`)

	// Streams that a person opens take precedence over those that the page has opened.
	p.join("Ada")
	for _, id := range []string{"events", "pause", "fail"} {
		p.Click("#" + id + " .toggle")
		p.state(id, "open")
	}
	p.Wait(`document.querySelectorAll(".card[data-state=closed]").length === 4`)
	p.Click(".card[data-state=closed] .toggle")
	p.Wait(`document.querySelectorAll(".card[data-state=open]").length === 5`)
	p.Wait(`document.querySelectorAll(".card[data-state=closed]").length === 4`)

	// In the meantime the sixth connection serves requests, and a card that waits gets the
	// first connection that becomes free.
	p.say("", "still there?")
	p.hears("You: still there?")
	p.Click("#tokens .bad")
	p.WantIn(p.state("tokens", "queued"), "Five streams are open already")
	p.Click("#pause .toggle")
	p.WantIn(p.state("tokens", "refused"), "400")
}

// The page fits a phone, and nothing in a card moves when its text changes. Each browser has
// every second width.
func TestLayout(t *testing.T) { browsertest.Run(t, testLayout) }

func testLayout(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "200ms", "HTTP/1.1")
	window := open(t, b, d.urls["gin"])
	for i, width := range []int{320, 375, 600, 768, 1280, 1440} {
		if browsertest.Second(t, i) {
			continue
		}
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			p := &page{window.On(t)}
			p.Resize(width, 812)
			p.Do(`sessionStorage.clear()`) // the chat's name
			p.visit(d.urls["gin"])
			p.join("Ada with a name so long")
			for _, id := range []string{"ticker", "news", "stream"} {
				p.show(id)
				p.state(id, "open")
			}
			p.Wait(`document.querySelector("#ticker .count").textContent !== ""`)
			p.state("stream", "open")
			heights := `JSON.stringify([...document.querySelectorAll(".card .status, .card")].map((e) => e.offsetHeight))`
			before := p.Text(heights)
			p.Click("#ticker .toggle") // its counter has another length
			p.Click("#fail .toggle")
			p.state("fail", "broken")
			p.Set("#notice [name=token]", "wrong")
			p.Click("#notice .toggle")
			p.state("notice", "refused")
			p.Click("#tokens .bad")
			p.state("tokens", "refused")
			if got := p.Text(heights); got != before {
				t.Errorf("got heights %s, want %s as before", got, before)
			}
			p.Wait(`document.documentElement.scrollWidth <= innerWidth`)
			if got := p.Text(`[...document.querySelectorAll(".card")].filter((c) => c.scrollWidth > c.clientWidth || c.scrollHeight > c.clientHeight).map((c) => c.id).join()`); got != "" {
				t.Errorf("the content of the cards %s does not fit", got)
			}
			if got := p.Text(`[...document.querySelectorAll(".extra")].filter((e) => e.clientHeight > 0 && e.scrollHeight > e.clientHeight).map((e) => e.closest(".card").id).join()`); got != "" {
				t.Errorf("in the cards %s something covers the buttons", got)
			}
		})
	}
}
