package main

import (
	"embed"
	"io/fs"
)

//go:embed page
var embedded embed.FS

// page is the folder that the page is in.
var page, _ = fs.Sub(embedded, "page") // it fails on a bad name only

// pageFiles are the names of the files beside index.html.
func pageFiles() []string {
	var names []string
	for _, pattern := range []string{"*.css", "*.js"} {
		found, _ := fs.Glob(page, pattern) // it fails on a bad pattern only
		names = append(names, found...)
	}
	return names
}

// A siteInfo says where a framework is served. The page knows the host.
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
)

// pageInfo is what the page asks for first: who serves it, who else there is, and
// the views, to show how they are made.
type pageInfo struct {
	Serving string            `json:"serving"`
	Sites   []siteInfo        `json:"sites"`
	Tick    int64             `json:"tick"`    // in milliseconds
	Sources map[string]string `json:"sources"` // by the files' names
}

func (d *demo) info(serving string) pageInfo {
	return pageInfo{
		Serving: serving, Sites: d.sites, Tick: d.tick.Milliseconds(),
		Sources: map[string]string{"views.go": viewsGo, "chat.go": chatGo, "market.go": marketGo, "news.go": newsGo},
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
