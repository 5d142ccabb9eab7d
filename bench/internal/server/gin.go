package server

import (
	"bytes"
	"io"
	"net"
	"strings"

	"github.com/gin-contrib/sse"
	"github.com/gin-gonic/gin"
)

func newGin() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	return gin.New()
}

// ginData is longer than data, because c.SSEvent does not send an ID and gin leaves out
// two spaces.
var ginData = data + strings.Repeat(".", len("id: 100000\n")+2)

func serveGin(ln net.Listener) error {
	r := newGin()
	r.GET("/each", func(c *gin.Context) {
		n := number(c.Request.URL.RawQuery)
		c.Stream(func(io.Writer) bool {
			c.SSEvent(eventType, ginData)
			n--
			return n > 0
		})
	})
	r.GET(Idle, func(c *gin.Context) {
		first := true
		c.Stream(func(io.Writer) bool {
			if !first {
				<-c.Request.Context().Done()
				return false
			}
			first = false
			c.SSEvent(eventType, ginData)
			return true
		})
	})
	r.GET("/encode", gin.WrapH(job(func(n int) (int, error) {
		var b bytes.Buffer
		for i := range n {
			b.Reset()
			if err := sse.Encode(&b, sse.Event{Event: eventType, Data: ginData}); err != nil {
				return i, err
			}
		}
		return n, nil
	})))
	r.GET("/parse", gin.WrapH(parsing(func(stream string) (int, error) {
		events, err := sse.Decode(strings.NewReader(stream))
		return len(events), err
	})))
	return serve(ln, r)
}
