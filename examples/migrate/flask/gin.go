package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

func newGin(s *site) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	r.HandleMethodNotAllowed = true // 405 and not 404, as in Python
	r.GET("/stream", ginsse.Handler(func(c *gin.Context) core.Stream {
		return s.ticks(c.Request.Context(), c.Query("user_id"))
	}))
	r.GET("/time", ginsse.Handler(func(c *gin.Context) core.Stream {
		return s.times(c.Request.Context())
	}))
	r.GET("/notice", ginsse.Handler(func(c *gin.Context) core.Stream {
		if c.Query("token") != token {
			c.String(http.StatusForbidden, "wrong token")
			return nil
		}
		return s.unread(c.Request.Context(), c.Query("user_id"))
	}))
	r.POST("/notice", func(c *gin.Context) {
		switch {
		case c.Query("token") != token:
			c.String(http.StatusForbidden, "wrong token")
		case !s.add(c.PostForm("text")):
			c.Status(http.StatusServiceUnavailable)
		default:
			c.Status(http.StatusNoContent)
		}
	})
	r.GET("/events", ginsse.Handler(func(c *gin.Context) core.Stream {
		stream := story(c.Request.Context(), number(c.Query("n"), len(sentences)))
		if stream == nil {
			c.Status(http.StatusNoContent)
		}
		return stream
	}))
	return r
}
