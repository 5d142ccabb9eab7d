package main

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
	"strconv"
	"sync"

	"github.com/yieldsse/yieldsse/core"
)

// A picture has columns times rows tiles of tileSize pixels each way.
const columns, rows, tileSize = 8, 5, 48

// picture sends a picture tile by tile, ten tiles a tick. An event carries text, so each
// tile, a PNG, is sent as base64. A client that comes back gets the tiles that it lacks.
func (d *demo) picture(ctx context.Context) core.Stream {
	next, _ := lastID(ctx)
	if next > columns*rows {
		return nil
	}
	return func(yield func(core.Event, error) bool) {
		for range core.Every(ctx, d.tick/10) {
			e := core.Event{ID: strconv.FormatUint(next+1, 10), Type: "done", Data: "That was all."}
			if next < columns*rows {
				e.Type = "tile"
				e = e.Base64(tiles()[next])
			}
			if !yield(e, nil) || e.Type == "done" {
				return
			}
			next++
		}
	}
}

// tiles returns the picture's tiles, row by row. They are painted when the first client asks.
var tiles = sync.OnceValue(func() [][]byte {
	var all [][]byte
	for i := range columns * rows {
		tile := image.NewRGBA(image.Rect(0, 0, tileSize, tileSize))
		for y := range tileSize {
			for x := range tileSize {
				tile.SetRGBA(x, y, paint(i%columns*tileSize+x, i/columns*tileSize+y))
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, tile); err != nil {
			panic(err) // a buffer takes everything
		}
		all = append(all, b.Bytes())
	}
	return all
})

// paint returns the colour of a pixel: a valley of the Mandelbrot set.
func paint(x, y int) color.RGBA {
	const most, span, far = 300, 0.016, 64
	c := complex(
		-0.7480+span*(float64(x)/(columns*tileSize)-0.5),
		0.1000+span*rows/columns*(float64(y)/(rows*tileSize)-0.5),
	)
	z := complex(0, 0)
	for n := range most {
		z = z*z + c
		if size := real(z)*real(z) + imag(z)*imag(z); size > far {
			smooth := float64(n) - math.Log2(math.Log2(size)/2)
			return shade(math.Sqrt(max(smooth, 0) / most))
		}
	}
	return color.RGBA{8, 20, 28, 255}
}

// shade returns a colour for a number from 0 to 1: night, sea, sand.
func shade(v float64) color.RGBA {
	wave := func(phase float64) uint8 {
		return uint8(128 + 120*math.Sin(2*math.Pi*(1.6*v+phase)))
	}
	return color.RGBA{wave(0.62), wave(0.76), wave(0.88), 255}
}
