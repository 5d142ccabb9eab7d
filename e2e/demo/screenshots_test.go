package demo_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
)

// The page shows something, also on a phone. If YIELDSSE_SCREENSHOTS names a folder, pictures
// of every section are taken, in use and in both themes, and written there, so that a person
// can look at them.
func TestScreenshots(t *testing.T) { browsertest.Run(t, testScreenshots) }

func testScreenshots(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "200ms", "HTTP/1.1")
	p := open(t, b, d.urls["gin"])
	sections, themes, points := []string{".top", "#ticker", "#chat"}, []string{"dark"}, 5
	if os.Getenv("YIELDSSE_SCREENSHOTS") != "" {
		p.use(open(t, b, d.urls["echo v5"]))
		sections = append([]string{".top", ".intro", ".bar"},
			eval[[]string](p, `[...document.querySelectorAll(".card")].map((c) => "#" + c.id)`)...)
		themes, points = append(themes, "light"), 40
	}
	p.Wait(fmt.Sprintf(`[...document.querySelectorAll("#ticker polyline")].every((l) => l.points.length >= %d)`, points))
	for _, theme := range themes {
		p.Resize(1280, 900)
		for range 3 {
			if p.Text(`document.querySelector("#theme").textContent`) != "Theme: "+theme {
				p.Click("#theme")
			}
		}
		for _, section := range sections {
			p.picture(section, theme, section[1:])
		}
		p.Resize(375, 812)
		p.picture("html", theme, "phone")
	}
}

// use puts something to see into each card.
func (p *page) use(other *page) {
	p.Helper()
	for _, id := range []string{"news", "stream", "time", "progress"} {
		p.show(id)
		p.Wait(fmt.Sprintf(`card(%q).querySelectorAll(".log li").length >= 3`, id))
		p.Click("#" + id + " .toggle")
	}
	for id, state := range map[string]string{"events": "ended", "picture": "ended", "notice": "refused", "fail": "broken", "pause": "paused"} {
		p.Set("#notice [name=token]", "wrong")
		p.Click("#" + id + " .toggle")
		p.state(id, state)
	}
	p.Click("#tokens .ask .main")
	p.state("tokens", "ended")
	p.join("Ada")
	other.join("Bob")
	other.say("", "Is this what you see as well?")
	p.say("", "It is: one hub, two windows.")
	other.say("Ada", "Then let us see the prices.")
	p.hears("Bob (private, to you): Then let us see the prices.")
	p.show("ticker")
	p.state("ticker", "open")
}

// picture takes a picture of the element that a selector finds, and checks it.
func (p *page) picture(selector, theme, name string) {
	p.Helper()
	p.Picture(name, theme, eval[browser.Rect](p, fmt.Sprintf(`(() => {
		scrollTo({ top: 0, behavior: "instant" });
		const { x, y, width, height } = document.querySelector(%q).getBoundingClientRect();
		return { x: Math.floor(x), y: Math.floor(y), width: Math.floor(width), height: Math.floor(height) };
	})()`, selector)))
}
