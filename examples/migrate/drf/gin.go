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
	notices := r.Group("/notice", ginHasToken)
	notices.GET("", ginsse.Handler(func(c *gin.Context) core.Stream {
		return s.unread(c.Request.Context(), c.Query("user_id"))
	}))
	notices.POST("", func(c *gin.Context) {
		var notice noticeBody
		switch err := c.ShouldBind(&notice); {
		case err != nil:
			c.JSON(http.StatusBadRequest, gin.H{"text": []string{err.Error()}})
		case !s.add(notice.Text):
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

// ginHasToken is the permission class, as a middleware that runs before the view.
func ginHasToken(c *gin.Context) {
	if c.Query("token") != token {
		c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"detail": "wrong token"})
	}
}
