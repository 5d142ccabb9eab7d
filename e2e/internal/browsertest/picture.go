package browsertest

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
)

// Picture takes a picture of a part of the document, and checks that it shows something in
// a theme, which is dark or light. If YIELDSSE_SCREENSHOTS names a folder, the picture is
// written there.
func (p *Page) Picture(name, theme string, part browser.Rect) {
	p.Helper()
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
