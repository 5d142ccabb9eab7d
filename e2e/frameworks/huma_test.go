package frameworks_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/openapisse"
)

type RoomInput struct {
	Room string `maxLength:"20" path:"room"`
}

type Message struct {
	Author string `json:"author"`
	Text   string `json:"text"`
}

type Left struct {
	Author string `json:"author"`
}

func onHuma(messages messages) (http.Handler, error) {
	schema, err := openapisse.ItemSchema(
		openapisse.JSON[Message]("message"),
		openapisse.JSON[Left]("left"),
	)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Chat", "1.0.0")
	config.OpenAPI.OpenAPI = "3.2.0"
	api := humago.New(mux, config)
	huma.Register(api, huma.Operation{
		OperationID: "room",
		Method:      http.MethodGet,
		Path:        "/rooms/{room}",
		Responses: map[string]*huma.Response{"200": {
			Description: "the room's messages, until the client leaves",
			Content: map[string]*huma.MediaType{
				"text/event-stream": {Extensions: map[string]any{"itemSchema": schema}},
			},
		}},
	}, func(_ context.Context, in *RoomInput) (*huma.StreamResponse, error) {
		if in.Room == "attic" {
			return nil, huma.Error404NotFound("there is no such room")
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				return messages(r.Context(), in.Room)
			}).ServeHTTP(w, r)
		}}, nil
	})
	return mux, nil
}

func serveHuma(t *testing.T, messages messages) (url string, stop func()) {
	t.Helper()
	h, err := onHuma(messages)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, h)
}

func TestHuma(t *testing.T) {
	onBoth(t, func(t *testing.T, client *http.Client) {
		chat := newChat()
		url, stop := serveHuma(t, chat.messages)
		v := visitor{chat: chat, url: url, client: client}
		for room, want := range map[string]int{
			"attic":                  http.StatusNotFound,
			strings.Repeat("a", 100): http.StatusUnprocessableEntity,
		} {
			s := v.open(t, room)
			if got, kind := s.Status, s.Header.Get("Content-Type"); got != want || kind != "application/problem+json" {
				t.Errorf("room %s: got %d %s, want %d and a problem", room, got, kind, want)
			}
		}
		v.check(t, stop)
	})
}

// The document has the stream's parameter and the types of its events.
func TestHumaDocument(t *testing.T) {
	url, _ := serveHuma(t, newChat().messages)
	var doc any
	if err := json.Unmarshal([]byte(hosttest.Get(t, url+"/openapi.json").Body), &doc); err != nil {
		t.Fatal(err)
	}
	content := []any{"paths", "/rooms/{room}", "get", "responses", "200", "content", "text/event-stream", "itemSchema", "oneOf"}
	for _, tt := range []struct {
		path []any
		want any
	}{
		{[]any{"openapi"}, "3.2.0"},
		{[]any{"paths", "/rooms/{room}", "get", "parameters", 0, "name"}, "room"},
		{append(slices.Clip(content), 0, "properties", "event", "const"), "message"},
		{append(slices.Clip(content), 0, "properties", "data", "contentSchema", "properties", "text", "type"), "string"},
		{append(slices.Clip(content), 1, "properties", "event", "const"), "left"},
		{append(slices.Clip(content), 1, "properties", "data", "contentSchema", "properties", "author", "type"), "string"},
	} {
		if got := at(doc, tt.path...); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.path, got, tt.want)
		}
	}
}

// at returns a part of a document, or nil.
func at(doc any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			doc = doc.(map[string]any)[step]
		case int:
			doc = doc.([]any)[step]
		}
	}
	return doc
}

// The routers below huma differ in what Unwrap returns.
func TestHumaOnOthers(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	type response = huma.StreamResponse
	for name, on := range map[string]func(view messages) http.Handler{
		"chi": func(view messages) http.Handler {
			r := chi.NewRouter()
			huma.Get(humachi.New(r, huma.DefaultConfig("", "")), "/rooms/{room}", func(_ context.Context, in *RoomInput) (*response, error) {
				return &response{Body: func(c huma.Context) {
					r, w := humachi.Unwrap(c)
					nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
						return view(r.Context(), in.Room)
					}).ServeHTTP(w, r)
				}}, nil
			})
			return r
		},
		"gin": func(view messages) http.Handler {
			r := gin.New()
			huma.Get(humagin.New(r, huma.DefaultConfig("", "")), "/rooms/{room}", func(_ context.Context, in *RoomInput) (*response, error) {
				return &response{Body: func(c huma.Context) {
					ginsse.Handler(func(c *gin.Context) core.Stream {
						return view(c.Request.Context(), in.Room)
					})(humagin.Unwrap(c))
				}}, nil
			})
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			chat := newChat()
			url, stop := serve(t, on(chat.messages))
			visitor{chat: chat, url: url, client: client(t, false)}.check(t, stop)
		})
	}
}

// huma's deadline for reading a body does not end a stream.
func TestHumaBody(t *testing.T) {
	const deadline = 100 * time.Millisecond
	type input struct {
		Body Message
	}
	mux := http.NewServeMux()
	late := make(chan struct{})
	huma.Register(humago.New(mux, huma.DefaultConfig("", "")), huma.Operation{
		Method: http.MethodPost, Path: "/", BodyReadTimeout: deadline,
	}, func(_ context.Context, in *input) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				return func(yield func(core.Event, error) bool) {
					for range core.Receive(r.Context(), late) {
						yield(core.Event{Data: in.Body.Text}, nil)
						return
					}
				}
			}).ServeHTTP(w, r)
		}}, nil
	})
	url, _ := serve(t, mux)
	res, err := client(t, false).Post(url, "application/json", strings.NewReader(`{"author": "a", "text": "hello"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-time.After(2 * deadline)
	select {
	case late <- struct{}{}:
	case <-time.After(hosttest.Patience):
		t.Fatal("the stream does not run any more")
	}
	text, err := io.ReadAll(res.Body)
	if !strings.HasSuffix(string(text), "data: hello\n\n") || err != nil {
		t.Errorf("got %q, %v, want hello and a clean end", text, err)
	}
}
