package frontends_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
)

// A goClient asks the models at base, and says what they answer.
type goClient struct {
	ask  func(ctx context.Context, base string, say func(string)) error
	ends ends
}

// whyBody is a request that both APIs take.
const whyBody = `{"stream":true,"messages":[{"role":"user","content":"Why?"}]}`

// goClients are our client, and those of sdks_test.go.
func goClients() map[string]goClient {
	all := map[string]goClient{
		"client, openai": {
			func(ctx context.Context, base string, say func(string)) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(whyBody))
				if err != nil {
					return err
				}
				return readOpenAI(req, say)
			},
			ends{broken: "unexpected EOF", short: "[DONE]", told: "the model has failed", refused: "503"},
		},
		"client, anthropic": {
			func(ctx context.Context, base string, say func(string)) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/messages", strings.NewReader(whyBody))
				if err != nil {
					return err
				}
				return readAnthropic(req, say)
			},
			ends{broken: "unexpected EOF", short: "message_stop", told: "the model has failed", refused: "503"},
		},
	}
	maps.Copy(all, sdks)
	return all
}

// The clients in Go get the same answer everywhere.
func TestGoClients(t *testing.T) {
	modes, clients := serveModels(t), goClients()
	asked := func(r result) result {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := clients[r.Client].ask(ctx, r.Base, func(text string) { r.Text += text }); err != nil {
			r.Error = err.Error()
		}
		return r
	}
	for _, r := range ask(modes, clients) {
		check(t, modes, asked(r), clients[r.Client].ends)
	}
	for _, example := range []string{"openai", "anthropic"} {
		base := startExample(t, example)
		for name := range clients {
			if strings.Contains(name, example) {
				checkExample(t, asked(result{Client: name, Base: base}))
			}
		}
	}
}

// readOpenAI reads an answer of OpenAI's API. Without a [DONE], or if the response is broken
// off, it returns an error.
func readOpenAI(req *http.Request, say func(string)) error {
	type chunk struct {
		Choices []struct {
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
		} `json:"choices"`
		Error *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	for c, err := range core.DecodeJSON[chunk](client.Stream(req, client.WithOnce("[DONE]"), client.WithIdleTimeout(2*time.Minute))) {
		switch {
		case err != nil:
			return err
		case c.Error != nil:
			return errors.New(c.Error.Message)
		}
		for _, choice := range c.Choices {
			say(choice.Delta.Content)
		}
	}
	return nil
}

// readAnthropic reads an answer of Anthropic's API.
func readAnthropic(req *http.Request, say func(string)) error {
	for e, err := range client.Stream(req, client.WithOnce("")) {
		if err != nil {
			return err
		}
		var data struct {
			Delta struct {
				Text string `json:"text"`
			} `json:"delta"`
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
			return err
		}
		switch e.Type {
		case "content_block_delta":
			say(data.Delta.Text)
		case "error":
			return errors.New(data.Error.Message)
		case "message_stop":
			return nil
		}
	}
	return errors.New("the response has ended without a message_stop")
}
