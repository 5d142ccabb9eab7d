// A server that speaks as OpenAI's does, on gin, with a stand-in for a model, and a chat that
// reads it with the package openai. Any other client of OpenAI can use it, too.
//
//	go run ./examples/openai
//	OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none your-program
package main

import (
	"crypto/rand"
	"embed"
	"flag"
	"fmt"
	"iter"
	"log"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

//go:embed index.html page.js style.css
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	fmt.Printf("Open http://%s, or give http://%[1]s/v1 to a client of OpenAI.\n", *addr) //nolint:forbidigo // for the user
	log.Fatal(router(echo).Run(*addr))
}

func router(say model) *gin.Engine {
	r := gin.Default()
	r.NoRoute(gin.WrapH(http.FileServerFS(page)))
	r.POST("/v1/chat/completions", ginsse.Handler(func(c *gin.Context) core.Stream {
		var q question
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 1<<20)
		if err := c.ShouldBindJSON(&q); err != nil {
			refuse(c, err.Error())
			return nil
		}
		if !q.Stream {
			refuse(c, "this server only streams: set stream to true")
			return nil
		}
		return openAI(say(c.Request.Context(), q.Messages))
	}, core.WithErrorEvent(openAIError)))
	return r
}

func refuse(c *gin.Context, message string) {
	c.JSON(http.StatusBadRequest, gin.H{"error": gin.H{"message": message, "type": "invalid_request_error"}})
}

// An openAIChunk is the data of an event of OpenAI's chat completions.
type openAIChunk struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Created int64          `json:"created"`
	Model   string         `json:"model"`
	Choices []openAIChoice `json:"choices"`
}

type openAIChoice struct {
	Index        int               `json:"index"`
	Delta        map[string]string `json:"delta"`
	FinishReason *string           `json:"finish_reason"` //nolint:tagliatelle // OpenAI's name
}

// openAI streams an answer as POST /v1/chat/completions does.
func openAI(tokens iter.Seq2[string, error]) core.Stream {
	id, created := "chatcmpl-"+rand.Text(), time.Now().Unix()
	chunk := func(delta map[string]string, finish *string) openAIChunk {
		return openAIChunk{id, "chat.completion.chunk", created, "echo", []openAIChoice{{0, delta, finish}}}
	}
	chunks := func(yield func(openAIChunk, error) bool) {
		if !yield(chunk(map[string]string{"role": "assistant", "content": ""}, nil), nil) {
			return
		}
		for token, err := range tokens {
			if !yield(chunk(map[string]string{"content": token}, nil), err) || err != nil {
				return
			}
		}
		stop := "stop"
		yield(chunk(map[string]string{}, &stop), nil)
	}
	return core.Then(core.EncodeJSON("", chunks), core.Event{Data: "[DONE]"})
}

func openAIError(error) core.Event {
	return core.Event{Data: `{"error":{"message":"the model has failed","type":"server_error"}}`}
}
