package demo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
)

// join enters the chat under a name.
func (p *page) join(name string) {
	p.Helper()
	p.Set("#chat [name=name]", name)
	p.Click("#chat .toggle")
	p.state("chat", "open")
	p.Wait(fmt.Sprintf(`[...document.querySelectorAll("#chat .people button")].some((b) => b.textContent === %q)`, name+" (you)"))
}

// say sends a message, to everybody if to is empty.
func (p *page) say(to, text string) {
	p.Helper()
	p.Wait(fmt.Sprintf(`[...document.querySelector("#chat [name=to]").options].some((o) => o.value === %q)`, to))
	p.Set("#chat [name=to]", to)
	p.Set("#chat [name=text]", text)
	p.Click("#chat .say button")
	p.Wait(`document.querySelector("#chat [name=text]").value === ""`)
}

const lines = `[...document.querySelectorAll("#chat .talk li")].map((li) => {
	const part = (selector) => li.querySelector(selector)?.textContent;
	if (!li.matches(".said")) return li.textContent;
	return part("b") + (part(".tag") ? " (" + part(".tag") + ")" : "") + ": " + part(".text");
})`

// hears waits for a line, and returns all lines.
func (p *page) hears(line string) []string {
	p.Helper()
	p.Wait(fmt.Sprintf(`%s.includes(%q)`, lines, line))
	return eval[[]string](p, lines)
}

func (p *page) wantLines(last string, want ...string) {
	p.Helper()
	if got, want := p.hears(last), append(want, last); !slices.Equal(got, want) {
		p.Errorf("got the lines %q, want %q", got, want)
	}
}

// inProtocols runs a test over each protocol, one after the other, because it opens many
// windows.
func inProtocols(t *testing.T, test func(t *testing.T, b browser.Profile, protocol string)) {
	t.Helper()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			browsertest.Run(t, func(t *testing.T, b browser.Profile) { test(t, b, protocol) })
		})
	}
}

// inOne runs a test in one browser, while another test may run in the other one. What differs
// between browsers is in [TestDemo], [TestLayout] and [TestScreenshots].
func inOne(t *testing.T, name string, test func(t *testing.T, b browser.Profile)) {
	t.Helper()
	t.Parallel()
	browsertest.RunIn(t, name, test)
}

// Windows on different frameworks share one room.
func TestChat(t *testing.T) {
	inOne(t, "chromium", func(t *testing.T, b browser.Profile) { testChat(t, b, "HTTP/2") })
}

func testChat(t *testing.T, b browser.Profile, protocol string) {
	t.Helper()
	d := startDemo(t, "200ms", protocol)
	ada, bob, eve := open(t, b, d.urls["echo v5"]), open(t, b, d.urls["fiber v3"]), open(t, b, d.urls["net/http"])
	ada.join("Ada")
	bob.join("Bob <b>")
	eve.join("Eve")
	ada.spoke("echo v5", protocol)
	bob.spoke("fiber v3", protocol)
	ada.hears("Eve has joined.")
	bob.hears("Eve has joined.")

	ada.say("", "Hello, 世界 & <i>all</i>")
	bob.hears("Ada: Hello, 世界 & <i>all</i>")
	bob.say("Ada", "psst")
	ada.say("Bob <b>", "what?")
	bob.hears("Ada (private, to you): what?")
	eve.say("", "hi")
	ada.wantLines("Eve: hi", "You have joined.", "Bob <b> has joined.", "Eve has joined.",
		"You: Hello, 世界 & <i>all</i>", "Bob <b> (private, to you): psst", "You (private, to Bob <b>): what?")
	bob.wantLines("Eve: hi", "Ada has joined.", "You have joined.", "Eve has joined.",
		"Ada: Hello, 世界 & <i>all</i>", "You (private, to Ada): psst", "Ada (private, to you): what?")
	eve.wantLines("You: hi", "Ada has joined.", "Bob <b> has joined.", "You have joined.", "Ada: Hello, 世界 & <i>all</i>")

	// A window that is reloaded keeps its name and gets the history.
	bob.visit(d.urls["fiber v3"])
	bob.state("chat", "open")
	bob.hears("Eve: hi")
	bob.Wait(`document.querySelector("#chat .here").textContent === "Here now: 3"`)

	// The others are told who has left, and a message for that person goes to nobody else.
	eve.Wait(`document.querySelector("#chat .here").textContent === "Here now: 3"`)
	eve.Set("#chat [name=to]", "Bob <b>")
	bob.Click("#chat .toggle")
	eve.Wait(`document.querySelector("#chat [name=to]").selectedOptions[0].textContent === "Bob <b> (not here)"`)
	eve.hears("Bob <b> has left.")
	eve.Set("#chat [name=text]", "for Bob alone")
	eve.Click("#chat .say button")
	eve.Wait(`document.querySelector("#chat .unsent").textContent !== ""`)
	eve.WantIn(eve.Text(`document.querySelector("#chat .unsent").textContent`), `there is no "Bob <b>" in the room`)
	if got, want := eve.Text(`document.querySelector("#chat [name=text]").value`), "for Bob alone"; got != want {
		t.Errorf("got %q in the field, want %q", got, want)
	}

	ada.Click("#chat .toggle")
	ada.Set("#chat [name=name]", "A\u200b")
	ada.Click("#chat .toggle")
	ada.WantIn(ada.state("chat", "refused"), "The server answered 400 instead of a stream: bad name")
}

// If the server cuts a connection while others write, nothing is lost and nothing comes
// twice.
func TestChatResumes(t *testing.T) {
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		protocol := protocols[0]
		if browsertest.Second(t, 0) {
			protocol = protocols[1]
		}
		testChatResumes(t, b, protocol)
	})
}

func testChatResumes(t *testing.T, b browser.Profile, protocol string) {
	t.Helper()
	d := startDemo(t, "200ms", protocol)
	ada, bob := open(t, b, d.urls["echo v4"]), open(t, b, d.urls["net/http"])
	ada.join("Ada")
	bob.join("Bob")
	ada.hears("Bob has joined.")
	ada.spoke("echo v4", protocol)
	var want []string
	n := 0
	for range 3 {
		ada.Do(`past.chat.length = 0`)
		ada.Click("#chat .drop")
		for range 5 {
			n++
			bob.say("", fmt.Sprintf("number %d", n))
			want = append(want, fmt.Sprintf("Bob: number %d", n))
		}
		ada.passed("chat", "waiting", "open")
	}
	ada.WantIn(ada.state("chat", "open"), "Last-Event-ID")
	got := ada.hears(fmt.Sprintf("Bob: number %d", n))
	got = slices.DeleteFunc(got, func(line string) bool { return !strings.HasPrefix(line, "Bob: ") }) // not who joined or left
	if !slices.Equal(got, want) {
		t.Errorf("got the lines %q, want %q", got, want)
	}
}

// A reader who has scrolled up stays there, and sees that there is more.
func TestChatScroll(t *testing.T) { inOne(t, "firefox", testChatScroll) }

func testChatScroll(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "200ms", "HTTP/1.1")
	ada, bob := open(t, b, d.urls["gin"]), open(t, b, d.urls["echo v4"])
	ada.join("Ada")
	bob.join("Bob")
	const atEnd = `(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight < 2)(document.querySelector("#chat .talk"))`
	for i := range 12 {
		bob.say("", fmt.Sprintf("number %d", i))
	}
	ada.hears("Bob: number 11")
	ada.Wait(atEnd)

	ada.Do(`const talk = document.querySelector("#chat .talk");
		talk.addEventListener("scroll", () => (window.scrolled = true), { once: true });
		talk.scrollTop = 0;`)
	ada.Wait(`window.scrolled`)
	bob.say("", "more")
	ada.hears("Bob: more")
	ada.Wait(`document.querySelector("#chat .newer").textContent === "1 new below" && document.querySelector("#chat .talk").scrollTop === 0`)
	ada.Click("#chat .newer")
	ada.Wait(atEnd)
	ada.Wait(`document.querySelector("#chat .newer").hidden`)
}

func testTicker(p *page, _ *demo, _ string) {
	p.show("ticker")
	p.state("ticker", "open")
	p.Do(`window.seen = new Map();
		const look = () => { for (const row of document.querySelectorAll("#ticker tbody tr")) {
			const prices = seen.get(row.dataset.symbol) ?? new Set();
			seen.set(row.dataset.symbol, prices.add(row.querySelector(".price").textContent + row.querySelector(".arrow").textContent));
		} };
		new MutationObserver(look).observe(document.querySelector("#ticker tbody"), { subtree: true, childList: true });`)
	p.Wait(`seen.size === 6 && [...seen.values()].every((prices) => prices.size >= 5)`)
	p.Wait(`["\u25b2", "\u25bc"].every((arrow) => [...seen.values()].some((prices) => [...prices].some((s) => s.endsWith(arrow))))`)
	p.Wait(`[...document.querySelectorAll("#ticker polyline")].every((l) => l.points.length >= 5)`)

	p.Click("#ticker .symbols label:nth-of-type(2) input")
	p.Wait(`document.querySelectorAll("#ticker tbody tr").length === 5`)
	p.Wait(`[...document.querySelectorAll("#ticker .price")].every((price) => price.textContent > "0")`)
	p.Do(`for (const box of document.querySelectorAll("#ticker input:checked")) box.click()`)
	p.WantIn(p.state("ticker", "closed"), "No symbol is chosen")
}

func testNews(p *page, _ *demo, _ string) {
	p.show("news")
	p.state("news", "open")
	p.Wait(`document.querySelectorAll("#news .log li").length >= 6`)
	const ids = `[...document.querySelectorAll("#news .log li")].map((li) => Number(li.dataset.id.split("-")[1]))`
	if got := p.Text(fmt.Sprintf(`(%s).every((id, i, all) => i === 0 || id < all[i - 1]) ? "" : (%[1]s).join()`, ids)); got != "" {
		p.Errorf("got the news %s, want the newest first", got)
	}
	p.Set("#news select", "science")
	p.state("news", "open")
	p.Wait(`document.querySelectorAll("#news .log li").length >= 2`)
	if got, want := p.Text(`[...new Set([...document.querySelectorAll("#news .section")].map((s) => s.textContent))].join()`), "science"; got != want {
		p.Errorf("got the sections %q, want %q", got, want)
	}
	p.Click("#news .toggle")
	p.state("news", "closed")
}

// Two windows share the connections to one host: the chat gets one, and a stream that no
// person has asked for is closed.
func TestConnectionsOfTabs(t *testing.T) { inOne(t, "firefox", testConnectionsOfTabs) }

func testConnectionsOfTabs(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "1s", "HTTP/1.1")
	first := open(t, b, d.urls["gin"])
	first.openFive()
	second := open(t, b, d.urls["gin"])
	second.Wait(`document.querySelector("#meter").textContent.endsWith(", and 5 in other tabs")`)
	second.join("Bob")
	first.Wait(`document.querySelectorAll(".card[data-state=closed]").length === 1`)
	first.join("Ada")
	second.say("", "Is there room for us both?")
	first.hears("Bob: Is there room for us both?")
	first.say("", "There is.")
	second.hears("Ada: There is.")
	for _, p := range []*page{first, second} {
		if meter := p.Text(`document.querySelector("#meter").textContent`); !fiveAtMost(meter) {
			t.Errorf("the meter says %q, want at most five connections", meter)
		}
	}
	if got := strings.Count(first.Text(`[...document.querySelectorAll(".why")].map((w) => w.textContent).join()`), "Closed to free its connection"); got != 2 {
		t.Errorf("got %d streams closed for the chat, want 2", got)
	}
}

func fiveAtMost(meter string) bool {
	var here, others int
	// The second number is absent if it is zero.
	_, _ = fmt.Sscanf(meter, "%d of 6 connections in use, and %d in other tabs", &here, &others)
	return here+others <= 5
}

// If two windows open a stream at the same moment, they hold six connections together,
// and no request would get through. So one of them gives its stream back, and both agree
// on which one.
func TestConnectionsTakenAtOnce(t *testing.T) { inOne(t, "chromium", testConnectionsTakenAtOnce) }

func testConnectionsTakenAtOnce(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "1s", "HTTP/1.1")
	p := open(t, b, d.urls["gin"])
	p.openFive()
	// other sends a message as from another tab: its name, how many connections it holds,
	// and how many of them no person has asked for.
	other := func(name string, count, spare int) {
		p.Text(fmt.Sprintf(`(() => {
			const channel = new BroadcastChannel("connections");
			channel.postMessage({ from: %q, type: "count", origin: location.origin, count: %d, spare: %d });
			channel.close();
			return "";
		})()`, name, count, spare))
	}
	queued := func(n int) {
		t.Helper()
		p.Wait(fmt.Sprintf(`document.querySelectorAll(".card[data-state=queued]").length === %d`, n))
	}

	other("~", 1, 1) // its name comes last, so it gives back
	p.Wait(`document.querySelector("#meter").textContent === "5 of 6 connections in use, and 1 in other tabs"`)
	queued(0)
	other("~", 0, 0)
	other("!", 1, 1) // its name comes first
	queued(1)
	p.Wait(`document.querySelector("#meter").textContent === "4 of 6 connections in use, and 1 in other tabs"`)
	other("!", 0, 0)
	queued(0)
	other("~", 1, 0) // its name comes last, but a person has asked for its stream
	queued(1)
}
