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
	readers core.Group  // the streams of the answers
}

// A turn is what one side has said. It is an event of type "question" or "answer".
type turn struct {
	ID    string `json:"id"` // the same for a question and its answer
	Text  string `json:"text"`
	State string `json:"state,omitempty"` // of an answer: see ending
}

// newChat returns a chat. All that it keeps is in a hub and a runner.
func newChat(ask model, s shared) *chat {
	return &chat{
		model:   ask,
		turns:   hub.New(hub.WithLog(s.turns), hub.WithMaxEvents(0), hub.WithMaxBytes(maxTurns)),
		answers: run.New(run.WithStore(s.answers), run.WithMaxDuration(maxAnswer)),
	}
}

func (s *chat) router() http.Handler {
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
	detached, reads := core.WithDetach(), core.WithGroup(&s.readers) // a window that only waits costs 2 kB
	one.GET("/turns", ginsse.Handler(s.follow, detached, core.WithRetry(time.Second)))
	one.POST("/questions", ginsse.Handler(s.ask, reads))
	one.GET("/answers/:id", ginsse.Handler(s.read, detached, reads, core.WithRetry(time.Second), core.WithErrorEvent(ending)))
	one.DELETE("/answers/:id", s.stop)
	return http.NewCrossOriginProtection().Handler(r) // other sites' pages must not ask
}

// follow sends the turns so far, and then each new one.
func (s *chat) follow(c *gin.Context) core.Stream {
	return s.turns.SubscribeFrom(c.Request.Context(), hub.Oldest, c.Param("chat"))
}

// ask begins an answer, and streams it. The first event, of type "asked", says that the
// question is kept. The client need not read the rest: the answer goes on without it, and
// read sends it to any number of windows.
func (s *chat) ask(c *gin.Context) core.Stream {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 4*maxQuestion) // a form is longer than its text
	question := strings.TrimSpace(c.PostForm("text"))
	if question == "" || len(question) > maxQuestion {
		c.String(http.StatusBadRequest, "a question has 1 to 16,384 bytes")
		return nil
	}
	return s.begin(c.Request.Context(), c.Param("chat"), turn{ID: rand.Text(), Text: question})
}

// begin begins the answer to a question.
func (s *chat) begin(ctx context.Context, name string, question turn) core.Stream {
	return s.answers.Start(ctx, key(name, question.ID), func(ctx context.Context) core.Stream {
		return s.answer(ctx, name, question)
	})
}

// read sends an answer, from its beginning or after the last event that the client has seen.
func (s *chat) read(c *gin.Context) core.Stream {
	return s.answers.Attach(c.Request.Context(), key(c.Param("chat"), c.Param("id")))
}

func (s *chat) stop(c *gin.Context) {
	err := s.answers.Stop(c.Request.Context(), key(c.Param("chat"), c.Param("id")), ending(run.ErrStopped))
	switch {
	case errors.Is(err, run.ErrNotHeld):
		c.String(http.StatusNotFound, "there is no such answer")
	case err != nil:
		c.String(http.StatusServiceUnavailable, err.Error())
	default:
		c.Status(http.StatusNoContent)
	}
}

// key returns the key of an answer's run.
func key(name, id string) string { return name + "/" + id }

// ending returns the last event of an answer that has ended with err. Its type is the state
// of the turn: done, stopped, cut (the model was not allowed to say more), lost (with the
// process that was writing it, or because that could not reach the server) or failed.
func ending(err error) core.Event {
	var cut *cutError
	switch {
	case err == nil:
		return core.Event{Type: "done"}
	case errors.Is(err, run.ErrStopped):
		return core.Event{Type: "stopped"}
	case errors.As(err, &cut):
		return core.Event{Type: "cut"}
	case errors.Is(err, run.ErrLost):
		return core.Event{Type: "lost"}
	default:
		return core.Event{Type: "failed"}
	}
}

// answer publishes a question, yields the tokens of its answer, and publishes the answer,
// whatever its end.
func (s *chat) answer(ctx context.Context, name string, question turn) core.Stream {
	return func(yield func(core.Event, error) bool) {
		asked, err := s.publish(ctx, name, "question", question)
		if err != nil {
			log.Printf("ai: a question is not kept: %v", err)
			yield(core.Event{}, err)
			return
		}
		var text string
		if yield(core.Event{Type: "asked", Data: question.ID}, nil) {
			text, err = s.write(ctx, name, asked, yield)
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx) // why the run has ended
		}
		end := ending(err)
		if err != nil && end.Type != "stopped" {
			log.Printf("ai: an answer has %s: %v", end.Type, err)
		}
		if _, err := s.publish(context.WithoutCancel(ctx), name, "answer", turn{question.ID, text, end.Type}); err != nil {
			log.Printf("ai: an answer is not kept: %v", err)
		}
		if ctx.Err() == nil {
			yield(end, err)
		}
	}
}

// write yields the tokens of the answer to the question with an ID, and returns those that
// were taken.
func (s *chat) write(ctx context.Context, name, asked string, yield func(core.Event, error) bool) (string, error) {
	history, err := s.history(ctx, name, asked)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for token, err := range s.model(ctx, history) {
		if err != nil {
			return text.String(), err
		}
		if !yield(core.Event{Data: token}, nil) {
			break
		}
		text.WriteString(token)
	}
	return text.String(), nil
}

func (s *chat) publish(ctx context.Context, name, typ string, t turn) (id string, err error) {
	e, err := core.Event{Type: typ}.JSON(t)
	if err != nil {
		return "", err
	}
	return s.turns.Publish(ctx, name, e)
}

// history returns what a conversation has up to the event with an ID, which is the last
// question: questions that have an answer, their answers, and that question. If one of a
// pair was dropped or lost, the other is left out.
func (s *chat) history(ctx context.Context, name, last string) ([]said, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxRead, errors.New("the question was lost, or the conversation takes too long to read"))
	defer cancel()
	var all []said
	questions := map[string]string{}
	for e, err := range s.turns.SubscribeFrom(ctx, hub.Oldest, name) {
		if err != nil {
			return nil, err
		}
		if e.Type == "gap" {
			continue
		}
		var t turn
		if err := json.Unmarshal([]byte(e.Data), &t); err != nil {
			return nil, err
		}
		switch {
		case e.ID == last:
			return append(all, said{"user", t.Text}), nil
		case e.Type == "question":
			questions[t.ID] = t.Text
		case e.Type == "answer" && t.Text != "" && questions[t.ID] != "":
			all = append(all, said{"user", questions[t.ID]}, said{"assistant", t.Text})
		}
	}
	return nil, context.Cause(ctx)
}
