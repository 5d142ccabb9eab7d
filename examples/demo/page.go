package main

import (
	"embed"
	"io/fs"
)

//go:embed page
var embedded embed.FS

// page is the folder that the page is in.
var page, _ = fs.Sub(embedded, "page") // it fails on a bad name only

// A siteInfo says where a framework is served. The page knows the host.
type siteInfo struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

//go:embed views.go
var source string

// pageInfo is what the page asks for first: who serves it, who else there is, and
// the views, to show how they are made.
type pageInfo struct {
	Serving string     `json:"serving"`
	Sites   []siteInfo `json:"sites"`
	Tick    int64      `json:"tick"` // in milliseconds
	Source  string     `json:"source"`
}

func (d *demo) info(serving string) pageInfo {
	return pageInfo{Serving: serving, Sites: d.sites, Tick: d.tick.Milliseconds(), Source: source}
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
