// A chat on gin: everybody reads what anybody writes, and sees who is there.
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
	"github.com/yieldsse/yieldsse/presence"
)

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Chat</title>
<form><input name="text" aria-label="Message" required autofocus autocomplete="off"> <button>Send</button></form>
<p>Here: <span></span></p>
<ul aria-live="polite"></ul>
<script>
let people = new Map(), next;
const me = "Guest " + Math.floor(Math.random() * 1000);
const source = new EventSource("people?name=" + encodeURIComponent(me));
const show = () => document.querySelector("span").textContent = [...people.values()].join(", ");
source.addEventListener("members", (e) => {
	const { first, members } = JSON.parse(e.data);
	if (first) next = new Map();
	for (const m of members) next.set(m.id, m.key);
});
source.addEventListener("current", (e) => {
	if (JSON.parse(e.data).last) people = next;
	show();
});
source.addEventListener("join", (e) => {
	const m = JSON.parse(e.data);
	people.set(m.id, m.key);
	show();
});
source.addEventListener("leave", (e) => {
	people.delete(JSON.parse(e.data).id);
	show();
});
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
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", router()))
}

func router() http.Handler {
	room := hub.New(hub.WithMaxEvents(100))
	var who presence.Tracker
	r := gin.Default()
	r.GET("/", func(c *gin.Context) { c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(page)) })
	r.GET("/chat", ginsse.Handler(func(c *gin.Context) core.Stream {
		return room.SubscribeFrom(c.Request.Context(), hub.Oldest, "chat")
	}))
	r.GET("/people", ginsse.Handler(func(c *gin.Context) core.Stream {
		ctx := c.Request.Context()
		if _, err := who.Join(ctx, "chat", c.Query("name"), nil); err != nil {
			c.String(http.StatusBadRequest, err.Error())
			return nil
		}
		return who.Stream(ctx, "chat")
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
	return http.NewCrossOriginProtection().Handler(r) // other sites' pages must not write
}
