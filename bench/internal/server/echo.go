package server

import (
	"fmt"
	"net"

	"github.com/labstack/echo/v4"
)

func serveEcho(ln net.Listener) error {
	e := echo.New()
	e.GET("/each", func(c echo.Context) error {
		w := c.Response()
		setHeaders(w.Header())
		n := number(c.QueryString())
		for id := firstID; id < firstID+n; id++ {
			if _, err := fmt.Fprintf(w, format, id, eventType, data); err != nil {
				return err
			}
			w.Flush()
		}
		return nil
	})
	e.GET(Idle, func(c echo.Context) error {
		w := c.Response()
		setHeaders(w.Header())
		if _, err := fmt.Fprintf(w, format, firstID, eventType, data); err != nil {
			return err
		}
		w.Flush()
		<-c.Request().Context().Done()
		return nil
	})
	return serve(ln, e)
}
