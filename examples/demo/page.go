package main

import (
	"embed"
	"io/fs"
)

//go:embed page
var embedded embed.FS

// page is the folder of the page's files.
var page, _ = fs.Sub(embedded, "page") // fails only on a bad name

// pageFiles returns the names of the other files than index.html.
func pageFiles() []string {
	var names []string
	for _, pattern := range []string{"*.css", "*.js"} {
		found, _ := fs.Glob(page, pattern) // fails only on a bad pattern
		names = append(names, found...)
	}
	return names
}

// A siteInfo says where a framework is served. The host is the page's.
type siteInfo struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

// The views' code, which the page shows.
var (
	//go:embed views.go
	viewsGo string
	//go:embed chat.go
	chatGo string
	//go:embed market.go
	marketGo string
	//go:embed news.go
	newsGo string
	//go:embed picture.go
	pictureGo string
)

// pageInfo is what the page requests first: which framework serves it, the other
// frameworks, and the source code of the views.
type pageInfo struct {
	Serving string            `json:"serving"`
	Sites   []siteInfo        `json:"sites"`
	Tick    int64             `json:"tick"`    // in milliseconds
	Sources map[string]string `json:"sources"` // by file name
}

func (d *demo) info(serving string) pageInfo {
	return pageInfo{
		Serving: serving, Sites: d.sites, Tick: d.tick.Milliseconds(),
		Sources: map[string]string{
			"views.go": viewsGo, "chat.go": chatGo, "market.go": marketGo, "news.go": newsGo, "picture.go": pictureGo,
		},
	}
}

// The bodies of requests.
type (
	tokensBody struct {
		Prompt string `json:"prompt"`
	}
	noticeBody struct {
		Text string `json:"text"`
	}
)

// maxBody bounds them, in bytes.
const maxBody = 16 << 10
