package demo_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
)

// The page shows something, also on a phone. If YIELDSSE_SCREENSHOTS names a folder, pictures
// of every section are taken, in both themes, and written there, so that a person can look at
// them.
func TestScreenshots(t *testing.T) { browsertest.Run(t, testScreenshots) }

func testScreenshots(t *testing.T, b browser.Profile) {
	t.Helper()
	d := startDemo(t, "200ms", "HTTP/1.1")
	p := open(t, b, d.urls["gin"])
	p.use(open(t, b, d.urls["echo v5"]))
	sections, themes, points := []string{".top", "#ticker", "#chat"}, []string{"dark"}, 5
	if os.Getenv("YIELDSSE_SCREENSHOTS") != "" {
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
	for id, state := range map[string]string{"events": "ended", "notice": "refused", "fail": "broken", "pause": "paused"} {
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
	part := eval[browser.Rect](p, fmt.Sprintf(`(() => {
		scrollTo({ top: 0, behavior: "instant" });
		const { x, y, width, height } = document.querySelector(%q).getBoundingClientRect();
		return { x: Math.floor(x), y: Math.floor(y), width: Math.floor(width), height: Math.floor(height) };
	})()`, selector))
	data := p.Screenshot(part)
	if dir := os.Getenv("YIELDSSE_SCREENSHOTS"); dir != "" {
		path := filepath.Join(dir, filepath.Base(p.Name())+"-"+name+"-"+theme+".png")
		if err := os.WriteFile(path, data, 0o600); err != nil { //nolint:gosec // the user chooses the folder
			p.Fatal(err)
		}
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		p.Fatalf("%s: %v", name, err)
	}
	size := img.Bounds().Size()
	if want := image.Pt(int(part.Width), int(part.Height)); size != want {
		p.Errorf("%s in %s: got a picture of %v, want %v", name, theme, size, want)
	}
	brightness, colors := look(img)
	if got, want := brightness < 0x80, theme == "dark"; got != want {
		p.Errorf("%s in %s: got a mean brightness of %d of 255", name, theme, brightness)
	}
	if colors < 16 {
		p.Errorf("%s in %s: got %d colors, too few to show anything", name, theme, colors)
	}
}

// look returns the mean brightness and the number of colors of a sample of a picture's
// pixels.
func look(img image.Image) (brightness, colors int) {
	const step = 3
	seen := make(map[color.Color]bool)
	b := img.Bounds()
	n := 0
	for y := b.Min.Y; y < b.Max.Y; y += step {
		for x := b.Min.X; x < b.Max.X; x += step {
			n++
			c := img.At(x, y)
			seen[c] = true
			gray, _ := color.GrayModel.Convert(c).(color.Gray)
			brightness += int(gray.Y)
		}
	}
	return brightness / max(1, n), len(seen)
}
