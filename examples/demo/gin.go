package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

func newGin(d *demo) server {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.RecoveryWithWriter(d.log.Writer()), d.logGin, allowGin)

	ctx := func(c *gin.Context) context.Context {
		return d.drops.context(c.Request.Context(), c.Query("session"))
	}
	// stream makes a handler of a view. It answers if the view returns an error, or
	// nothing.
	stream := func(view func(c *gin.Context) (core.Stream, error)) gin.HandlerFunc {
		return ginsse.Handler(func(c *gin.Context) core.Stream {
			s, err := view(c)
			switch {
			case err != nil:
				ginError(c, err)
				return nil
			case s == nil:
				c.Status(http.StatusNoContent)
			}
			return s
		}, d.options...)
	}

	r.GET("/stream", stream(func(c *gin.Context) (core.Stream, error) {
		return d.stream(ctx(c), c.Query("user_id")), nil
	}))
	r.GET("/time", stream(func(c *gin.Context) (core.Stream, error) {
		return d.time(ctx(c)), nil
	}))
	r.GET("/notice", stream(func(c *gin.Context) (core.Stream, error) {
		return d.notice(c.Query("token"))
	}))
	r.GET("/events", stream(func(c *gin.Context) (core.Stream, error) {
		return d.events(ctx(c)), nil
	}))
	r.GET("/picture", stream(func(c *gin.Context) (core.Stream, error) {
		return d.picture(ctx(c)), nil
	}))
	r.GET("/pause", stream(func(c *gin.Context) (core.Stream, error) {
		return d.pause(ctx(c)), nil
	}))
	r.POST("/tokens", stream(func(c *gin.Context) (core.Stream, error) {
		var body tokensBody
		if err := decode(c.Request.Body, &body); err != nil {
			return nil, errPrompt
		}
		return d.tokens(c.Request.Context(), body.Prompt)
	}))
	r.GET("/progress", stream(func(c *gin.Context) (core.Stream, error) {
		return d.progress(ctx(c), c.Query("job"))
	}))
	r.GET("/fail", stream(func(c *gin.Context) (core.Stream, error) {
		return d.fail(ctx(c)), nil
	}))

	r.GET("/chat", stream(func(c *gin.Context) (core.Stream, error) {
		return d.chat(ctx(c), c.Query("name"))
	}))
	r.GET("/ticker", stream(func(c *gin.Context) (core.Stream, error) {
		return d.ticker(ctx(c), c.Query("symbols"))
	}))
	r.GET("/news", stream(func(c *gin.Context) (core.Stream, error) {
		return d.news(ctx(c), c.Query("section"))
	}))

	r.POST("/chat", func(c *gin.Context) {
		var body message
		if err := decode(c.Request.Body, &body); err != nil {
			ginError(c, errChat)
			return
		}
		if err := d.say(body); err != nil {
			ginError(c, err)
			return
		}
		c.Status(http.StatusNoContent)
	})
	r.POST("/notice", func(c *gin.Context) {
		var body noticeBody
		if err := decode(c.Request.Body, &body); err != nil {
			ginError(c, errText)
			return
		}
		if err := d.addNotice(c.Query("token"), body.Text); err != nil {
			ginError(c, err)
			return
		}
		c.Status(http.StatusNoContent)
	})
	r.POST("/drop", func(c *gin.Context) {
		d.drops.drop(c.Query("session"))
		c.Status(http.StatusNoContent)
	})
	r.GET("/info", func(c *gin.Context) { c.JSON(http.StatusOK, d.info("gin")) })
	r.StaticFileFS("/", "/", http.FS(page))
	for _, name := range pageFiles() {
		r.StaticFileFS("/"+name, name, http.FS(page))
	}
	return d.httpServer(r)
}

func ginError(c *gin.Context, err error) {
	status := http.StatusInternalServerError
	if p, ok := errors.AsType[*problem](err); ok {
		status = p.status
	}
	c.AbortWithStatusJSON(status, gin.H{"error": err.Error()})
}

// logGin logs the failures of streams, which ginsse puts into c.Errors.
func (d *demo) logGin(c *gin.Context) {
	c.Next()
	for _, err := range c.Errors {
		d.log.Printf("gin: %q: %v", c.Request.Method+" "+c.Request.URL.Path, err)
	}
}

// allowGin lets a page from another port read the answers.
func allowGin(c *gin.Context) {
	c.Header("Access-Control-Allow-Origin", "*")
	if c.Request.Method == http.MethodOptions {
		c.Header("Access-Control-Allow-Headers", "Content-Type, Last-Event-ID")
		c.AbortWithStatus(http.StatusNoContent)
	}
}
