// A chat on gin: everybody reads what anybody writes.
//
//	go run ./examples/chat
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/hub"
)

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Chat</title>
<form><input name="text" aria-label="Message" required autofocus autocomplete="off"> <button>Send</button></form>
<ul aria-live="polite"></ul>
<script>
const form = document.querySelector("form");
new EventSource("chat").onmessage = (e) => {
	const line = document.createElement("li");
	line.textContent = e.data;
	document.querySelector("ul").prepend(line);
};
form.onsubmit = (e) => {
	e.preventDefault();
	fetch("chat", { method: "POST", body: new URLSearchParams(new FormData(form)) });
	form.reset();
};
</script>`

func main() {
	fmt.Println("Open http://127.0.0.1:8080 in two windows.") //nolint:forbidigo // for the user
	log.Fatal(router().Run("127.0.0.1:8080"))
}

func router() *gin.Engine {
	room := hub.New(hub.WithMaxEvents(100))
	r := gin.Default()
	r.GET("/", func(c *gin.Context) { c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(page)) })
	r.GET("/chat", ginsse.Handler(func(c *gin.Context) core.Stream {
		return room.SubscribeFrom(c.Request.Context(), hub.Oldest, "chat")
	}))
	r.POST("/chat", func(c *gin.Context) {
		if c.PostForm("text") == "" {
			c.String(http.StatusBadRequest, "no text")
			return
		}
		if _, err := room.Publish(c.Request.Context(), "chat", core.Event{Data: c.PostForm("text")}); err != nil {
			c.String(http.StatusInternalServerError, err.Error())
			return
		}
		c.Status(http.StatusNoContent)
	})
	return r
}
