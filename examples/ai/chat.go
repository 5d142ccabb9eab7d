package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
)

//go:embed page
var page embed.FS

// maxQuestion is how many bytes a question may have.
const maxQuestion = 16 << 10

// A chat serves conversations. Whoever has the address of one may read it and ask.
type chat struct {
	model   model
	turns   *hub.Hub    // what was asked and answered, in a topic for each conversation
	answers *run.Runner // the answers that are being written, token by token
}

// A turn is what one side has said. It is an event of type "question" or "answer".
type turn struct {
	ID    string `json:"id"` // the same for a question and its answer
	Text  string `json:"text"`
	State string `json:"state,omitempty"` // of an answer: done, stopped or failed
}

func (s *chat) router() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	files, _ := fs.Sub(page, "page") // cannot fail: the name is valid
	r.GET("/", func(c *gin.Context) { c.Redirect(http.StatusSeeOther, "/chats/"+rand.Text()) })
	r.GET("/chats/:chat", func(c *gin.Context) { c.FileFromFS("chat.html", http.FS(files)) })
	r.StaticFS("/page", http.FS(files))

	one := r.Group("/chats/:chat", func(c *gin.Context) {
		if hub.CheckTopic(c.Param("chat")) != nil || len(c.Param("chat")) > 64 {
			c.AbortWithStatus(http.StatusNotFound)
		}
	})
	detached := core.WithDetach() // a window that only waits costs 2 kB
	one.GET("/turns", ginsse.Handler(s.follow, detached, core.WithRetry(time.Second)))
	one.POST("/questions", ginsse.Handler(s.ask))
	one.GET("/answers/:id", ginsse.Handler(s.read, detached, core.WithRetry(time.Second)))
	one.DELETE("/answers/:id", s.stop)
	return r
}

// follow sends the turns so far, and then each new one.
func (s *chat) follow(c *gin.Context) core.Stream {
	return s.turns.SubscribeFrom(c.Request.Context(), hub.Oldest, c.Param("chat"))
}

// ask begins an answer, and streams it. The client need not read it: the answer goes on
// without it, and read sends it to any number of windows.
func (s *chat) ask(c *gin.Context) core.Stream {
	question := strings.TrimSpace(c.PostForm("text"))
	if question == "" || len(question) > maxQuestion {
		c.String(http.StatusBadRequest, "a question has 1 to 16,384 bytes")
		return nil
	}
	name, id := strings.Clone(c.Param("chat")), rand.Text()
	return s.answers.Start(c.Request.Context(), key(name, id), func(ctx context.Context) core.Stream {
		return s.answer(ctx, name, turn{ID: id, Text: question})
	})
}

// read sends an answer, from its beginning or after the last event that the client has seen.
func (s *chat) read(c *gin.Context) core.Stream {
	return s.answers.Attach(c.Request.Context(), key(c.Param("chat"), c.Param("id")))
}

func (s *chat) stop(c *gin.Context) {
	err := s.answers.Stop(c.Request.Context(), key(c.Param("chat"), c.Param("id")), core.Event{Type: "stopped"})
	switch {
	case errors.Is(err, run.ErrNotHeld):
		c.Status(http.StatusNotFound)
	case err != nil:
		c.String(http.StatusServiceUnavailable, err.Error())
	default:
		c.Status(http.StatusNoContent)
	}
}

// key returns the key of an answer's run.
func key(name, id string) string { return name + "/" + id }

// answer publishes a question, yields the tokens of its answer, and publishes the answer,
// whatever its end.
func (s *chat) answer(ctx context.Context, name string, question turn) core.Stream {
	return func(yield func(core.Event, error) bool) {
		asked, err := s.publish(ctx, name, "question", question)
		if err != nil {
			yield(core.Event{}, err)
			return
		}
		var text strings.Builder
		state := "failed"
		defer func() {
			if errors.Is(context.Cause(ctx), run.ErrStopped) {
				state = "stopped"
			}
			_, err := s.publish(context.WithoutCancel(ctx), name, "answer", turn{question.ID, text.String(), state})
			if err != nil {
				log.Printf("ai: an answer is not kept: %v", err)
			}
		}()
		history, err := s.history(ctx, name, asked)
		if err != nil {
			yield(core.Event{}, err)
			return
		}
		for token, err := range s.model(ctx, history) {
			if !yield(core.Event{Data: token}, err) || err != nil {
				return
			}
			text.WriteString(token)
		}
		if ctx.Err() == nil {
			state = "done"
		}
	}
}

func (s *chat) publish(ctx context.Context, name, typ string, t turn) (id string, err error) {
	e, err := core.Event{Type: typ}.JSON(t)
	if err != nil {
		return "", err
	}
	return s.turns.Publish(ctx, name, e)
}

// history returns what a conversation has up to the event with an ID, which is the last
// question: questions that have an answer, their answers, and that question.
func (s *chat) history(ctx context.Context, name, last string) ([]said, error) {
	var all []said
	questions := map[string]string{}
	for e, err := range s.turns.SubscribeFrom(ctx, hub.Oldest, name) {
		if err != nil {
			return nil, err
		}
		var t turn
		if e.Type != "gap" {
			err = json.Unmarshal([]byte(e.Data), &t)
		}
		switch {
		case err != nil:
			return nil, err
		case e.ID == last:
			return append(all, said{"user", t.Text}), nil
		case e.Type == "question":
			questions[t.ID] = t.Text
		case e.Type == "answer" && t.Text != "":
			all = append(all, said{"user", questions[t.ID]}, said{"assistant", t.Text})
		}
	}
	return nil, context.Cause(ctx)
}
