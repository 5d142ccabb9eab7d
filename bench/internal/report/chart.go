package report

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	imagefont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A theme is the colors of a chart.
type theme struct {
	name                    string
	ink, faint, ours, other color.Color
}

var themes = []theme{
	{"light", rgb(0x1f2328), rgb(0x59636e), rgb(0x0969da), rgb(0xafb8c1)},
	{"dark", rgb(0xf0f6fc), rgb(0x9198a1), rgb(0x4493f8), rgb(0x57606a)},
}

func rgb(v uint32) color.Color {
	return color.RGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}

// A chart stays readable on a phone, which shows it at about two thirds of its
// width.
const (
	chartWidth = 480
	titleSize  = 17
	textSize   = 15
	rowHeight  = 30
	barHeight  = 16
	headHeight = 64
	margin     = 8
)

// Charts draws the first metric of each result that has a chart, for light and for dark
// pages: NAME-light.svg and NAME-dark.svg.
func (r *Report) Charts(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, result := range r.Results {
		if !result.Chart {
			continue
		}
		for _, t := range themes {
			svg, err := result.chart(t)
			if errors.Is(err, errEmpty) {
				continue
			}
			if err != nil {
				return fmt.Errorf("report: chart %s: %w", result.Name, err)
			}
			file := filepath.Join(dir, result.Name+"-"+t.name+".svg")
			if err := os.WriteFile(file, svg, 0o644); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
	}
	return nil
}

// errEmpty means that there is nothing to draw.
var errEmpty = errors.New("no values")

// chart draws a bar for each side, the least on top.
func (r *Result) chart(t theme) ([]byte, error) {
	main := r.Metrics[0]
	var sides []*Side
	for _, s := range r.Sides {
		if !math.IsNaN(s.Of(main).Median) {
			sides = append(sides, s)
		}
	}
	// The axis goes up, so the greatest comes first.
	slices.SortStableFunc(sides, func(a, b *Side) int {
		return -compare(a.Of(main).Median, b.Of(main).Median)
	})
	if len(sides) == 0 || sides[0].Of(main).Median == 0 {
		return nil, errEmpty
	}

	p := plot.New()
	p.BackgroundColor = nil // the page's shows through
	p.HideX()
	var (
		names          []string
		ours, others   plotter.Values
		labels         plotter.XYLabels
		longest        = sides[0].Of(main).Median
		roomForNumbers = 1.8 // times the longest bar
	)
	for i, s := range sides {
		v := s.Of(main).Median
		label := main.Unit.Format(v)
		if ratio := r.Ratio(s).Median; !math.IsNaN(ratio) && s.Name != r.Base {
			label += " (" + digits(ratio) + "\u00d7)"
		}
		names = append(names, s.Name)
		labels.XYs = append(labels.XYs, plotter.XY{X: v, Y: float64(i)})
		labels.Labels = append(labels.Labels, label)
		if s.Ours {
			ours, others = append(ours, v), append(others, 0)
		} else {
			ours, others = append(ours, 0), append(others, v)
		}
	}
	for _, group := range []struct {
		values plotter.Values
		fill   color.Color
	}{{others, t.other}, {ours, t.ours}} {
		bars, err := plotter.NewBarChart(group.values, barHeight)
		if err != nil {
			return nil, err
		}
		bars.Horizontal, bars.Color, bars.LineStyle.Width = true, group.fill, 0
		p.Add(bars)
	}
	numbers, err := plotter.NewLabels(labels)
	if err != nil {
		return nil, err
	}
	for i := range numbers.TextStyle {
		numbers.TextStyle[i] = style(textSize, t.ink, sides[i].Ours)
		numbers.TextStyle[i].YAlign = text.YCenter
	}
	numbers.Offset = vg.Point{X: 5, Y: 2}
	p.Add(numbers)
	p.NominalY(names...)
	p.Y.Tick.Label = style(textSize, t.ink, false)
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = text.XRight, text.YCenter
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width, p.Y.Tick.Length = 0, 0, 0
	p.X.Min, p.X.Max = 0, longest*roomForNumbers
	p.Y.Min, p.Y.Max = -0.5, float64(len(sides))-0.5

	height := vg.Length(headHeight + rowHeight*len(sides) + margin)
	canvas := &widthCanvas{Canvas: vgsvg.New(chartWidth, height)}
	area := draw.New(canvas)
	area.FillText(style(titleSize, t.ink, true), vg.Point{X: margin, Y: height - titleSize - margin}, r.Title)
	sub := main.Name + ", less is better"
	if r.Base != "" {
		sub += "; times " + r.Base
	}
	area.FillText(style(textSize-1, t.faint, false), vg.Point{X: margin, Y: height - titleSize - textSize - 2*margin}, sub)
	p.Draw(draw.Crop(area, margin, -margin, margin, -headHeight))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return []byte(canvas.fit(b.String())), nil
}

// A widthCanvas remembers how wide each text is in the font that the chart was laid
// out with.
type widthCanvas struct {
	*vgsvg.Canvas

	widths []vg.Length
}

func (c *widthCanvas) FillString(face font.Face, pt vg.Point, s string) {
	c.widths = append(c.widths, face.Width(s))
	c.Canvas.FillString(face, pt, s)
}

// fit makes the chart look the same with any font that its reader has, because an image
// on a page has none: a wider font is squeezed, so that no name runs into its bar.
func (c *widthCanvas) fit(svg string) string {
	svg = strings.ReplaceAll(svg, "font-family:Liberation Sans;",
		"font-family:Helvetica,Arial,'Liberation Sans',sans-serif;")
	for _, width := range c.widths {
		svg = strings.Replace(svg, "<text x=",
			fmt.Sprintf(`<text textLength="%.4g" lengthAdjust="spacingAndGlyphs" x=`, width.Points()), 1)
	}
	return svg
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func style(size vg.Length, ink color.Color, bold bool) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = imagefont.WeightBold
	}
	return text.Style{Color: ink, Font: f, Handler: plot.DefaultTextHandler}
}
