package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	name             string
	ink, faint, line color.Color
}

var themes = []theme{
	{"light", rgb(0x1f2328), rgb(0xd1d9e0), rgb(0x0969da)},
	{"dark", rgb(0xf0f6fc), rgb(0x3d444d), rgb(0x4493f8)},
}

func rgb(v uint32) color.Color {
	return color.RGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff} //nolint:gosec // it is cut off
}

const (
	chartWidth = 480
	partHeight = 115
	titleSize  = 13
	tickSize   = 11
	margin     = 8
)

// charts draws what the first server had over time: soak-light.svg and soak-dark.svg.
func (r *Report) charts(folder string) error {
	for _, t := range themes {
		svg, err := r.chart(t)
		if err != nil {
			return fmt.Errorf("chart: %w", err)
		}
		if err := os.WriteFile(filepath.Join(folder, "soak-"+t.name+".svg"), svg, 0o644); err != nil { //nolint:gosec // others read it
			return err
		}
	}
	return nil
}

func (r *Report) chart(t theme) ([]byte, error) {
	parts := []struct {
		title string
		of    func(Usage) float64
	}{
		{"sessions", func(u Usage) float64 { return float64(u.Sessions) }},
		{"goroutines", func(u Usage) float64 { return float64(u.Goroutines) }},
		{"file descriptors", func(u Usage) float64 { return float64(u.Files) }},
		{"heap in use, MiB", func(u Usage) float64 { return float64(u.Heap) / (1 << 20) }},
		{"resident memory, MiB", func(u Usage) float64 { return float64(u.RSS) / (1 << 20) }},
	}
	samples := slices.Concat([]Usage{r.Start}, r.Samples, []Usage{r.End})
	plots := make([][]*plot.Plot, len(parts))
	for i, part := range parts {
		points := make(plotter.XYs, len(samples))
		for k, u := range samples {
			points[k] = plotter.XY{X: u.At.Minutes(), Y: part.of(u)}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		line.Color = t.line
		grid := plotter.NewGrid()
		grid.Horizontal.Color, grid.Vertical.Color = t.faint, nil
		p := plot.New()
		p.BackgroundColor = nil // the page's shows through
		p.Add(grid, line)
		p.Title.Text, p.Title.TextStyle = part.title, style(titleSize, t.ink)
		p.Y.Min, p.X.Min, p.X.Max = 0, 0, r.End.At.Minutes()
		for _, axis := range []*plot.Axis{&p.X, &p.Y} {
			axis.Color, axis.Tick.Color, axis.Tick.Marker = t.faint, t.faint, plot.TickerFunc(ticks)
			x, y := axis.Tick.Label.XAlign, axis.Tick.Label.YAlign
			axis.Tick.Label = style(tickSize, t.ink)
			axis.Tick.Label.XAlign, axis.Tick.Label.YAlign = x, y
		}
		if i < len(parts)-1 {
			p.HideX()
		} else {
			p.X.Label.Text, p.X.Label.TextStyle = "minutes", style(tickSize, t.ink)
		}
		plots[i] = []*plot.Plot{p}
	}
	canvas := vgsvg.New(chartWidth, vg.Length(partHeight*len(parts)))
	tiles := draw.Tiles{
		Rows: len(parts), Cols: 1,
		PadY: 2 * margin, PadTop: 2 * margin, PadRight: margin, PadBottom: margin, PadLeft: margin,
	}
	for i, row := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(row[0])
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return []byte(strings.ReplaceAll(b.String(), "font-family:Liberation Sans;",
		"font-family:Helvetica,Arial,'Liberation Sans',sans-serif;")), nil
}

// ticks are those of plot, with the fewest digits.
func ticks(least, most float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(least, most)
	for i, tick := range all {
		if tick.Label != "" {
			all[i].Label = fmt.Sprint(math.Round(tick.Value*100) / 100) //nolint:mnd // two places
		}
	}
	return all
}

func style(size vg.Length, ink color.Color) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	return text.Style{Color: ink, Font: f, Handler: plot.DefaultTextHandler}
}
