package ginsse_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

func TestConformance(t *testing.T) {
	adaptertest.Conformance(t, mount, mount.Detached())
}

var mount = adaptertest.Mount{
	Serve:     serveSite,
	Protocols: []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS, adaptertest.HTTP2, adaptertest.H2C},
}

func serveSite(_ testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
	engine := gin.New()
	engine.Use(gin.RecoveryWithWriter(site.Log), func(c *gin.Context) {
		c.Next()
		for _, err := range c.Errors {
			_, _ = fmt.Fprintln(site.Log, err)
		}
	})
	for path, view := range site.Views {
		engine.Any(path, ginsse.Handler(siteView(view), site.Options...))
	}
	for name, answer := range siteAnswers {
		engine.GET("/plain/"+name, answer)
		engine.GET("/"+name, ginsse.Handler(func(c *gin.Context) core.Stream {
			answer(c)
			return nil
		}, site.Options...))
	}
	srv := site.Server(engine)
	go func() { _ = srv.Serve(site.Listener) }()
	return srv.Shutdown
}

func siteView(view adaptertest.View) ginsse.View {
	if view == nil {
		return nil
	}
	return func(c *gin.Context) core.Stream {
		return view(c.Request.Context(), adaptertest.Exchange{Body: c.Request.Body, SetHeader: c.Header})
	}
}

var siteAnswers = map[string]gin.HandlerFunc{
	"forbidden": func(c *gin.Context) {
		c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"error": "no entry"})
	},
	"json": func(c *gin.Context) {
		c.Header("Cache-Control", "max-age=60")
		c.JSON(http.StatusOK, gin.H{"answer": 42})
	},
	"redirect":   func(c *gin.Context) { c.Redirect(http.StatusSeeOther, "/json") },
	"no-content": func(c *gin.Context) { c.Status(http.StatusNoContent) },
	"nothing":    func(*gin.Context) {},
}
