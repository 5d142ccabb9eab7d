// Package openapi_test puts the schemas of openapisse into documents of OpenAPI 3.2, with the
// libraries that people use for documents, and has a validator judge them.
package openapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/swaggo/swag/v2"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/openapisse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// itemPath leads to the schema of an event in each document.
const itemPath = "/paths/~1market/get/responses/200/content/text~1event-stream/itemSchema"

// What the market sends.
type (
	side  string
	party struct {
		Name  string `json:"name"`
		Agent *party `json:"agent,omitempty"` // a type that contains itself
	}
	trade struct {
		Symbol string            `json:"symbol"`
		Price  float64           `json:"price"`
		Size   int64             `json:"size,string"`
		Side   side              `json:"side"`
		At     time.Time         `json:"at"`
		Note   *string           `json:"note"`
		Proof  []byte            `json:"proof"`
		Tags   map[string]string `json:"tags,omitempty"`
		Buyer  party             `json:"buyer"`
	}
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := openapisse.ItemSchema(
		openapisse.JSON[trade]("trade"),
		openapisse.JSON[[]string](""),
		openapisse.Text("notice"),
		openapisse.Type[side](&jsonschema.Schema{Type: "string", Enum: []any{"buy", "sell"}}),
		openapisse.Type[party](&jsonschema.Schema{Ref: "#/components/schemas/Party"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// partySchema is the one that the documents have for a party.
const partySchema = `{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"agent":{"$ref":"#/components/schemas/Party"}}}`

// stream is what the schema describes.
func stream(yield func(core.Event, error) bool) {
	note := "a\nb"
	for e, err := range core.EncodeJSON("trade", func(yield func(trade, error) bool) {
		_ = yield(trade{Symbol: "A", Price: 1.5, Side: "buy", At: time.Unix(0, 0)}, nil) &&
			yield(trade{
				Side: "sell", Size: 1 << 60, Note: &note, Proof: []byte("\xff"), Tags: map[string]string{"a": "b"},
				Buyer: party{Name: "A", Agent: &party{Name: "B"}},
			}, nil)
	}) {
		if !yield(e, err) {
			return
		}
	}
	_ = yield(core.Event{ID: "7"}.JSON([]string{"A", "B"})) &&
		yield(core.Event{}.JSON([]string(nil))) &&
		yield(core.Event{Type: "message", Data: "[]"}, nil) &&
		yield(core.Event{Type: "notice", Data: "not JSON\nat all", Retry: time.Second}, nil)
}

// An event is one in the model of OpenAPI: an object of what the parser has found.
type event map[string]any

// read reads the events of a server that sends stream.
func read(t *testing.T) []event {
	t.Helper()
	url := ssetest.Serve(t, nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream { return stream }))
	var events []event
	for _, e := range ssetest.Open(t, url).All() {
		event := event{"data": e.Data}
		if e.Type != "" {
			event["event"] = e.Type
		}
		if e.ID != "" {
			event["id"] = e.ID
		}
		if e.Retry != 0 {
			event["retry"] = e.Retry.Milliseconds()
		}
		events = append(events, event)
	}
	return events
}

// documents returns a document from each library, by its name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"hand": byHand(t), "kin-openapi": byKin(t), "huma": byHuma(t), "swag": bySwag(t)}
}

func byHand(t *testing.T) string {
	t.Helper()
	return text(t, map[string]any{
		"openapi": "3.2.0",
		"info":    map[string]any{"title": "Market", "version": "1.0"},
		"paths": map[string]any{"/market": map[string]any{"get": map[string]any{"responses": map[string]any{"200": map[string]any{
			"description": "the trades",
			"content":     map[string]any{"text/event-stream": map[string]any{"itemSchema": schema(t)}},
		}}}}},
		"components": map[string]any{"schemas": map[string]any{"Party": json.RawMessage(partySchema)}},
	})
}

func byKin(t *testing.T) string {
	t.Helper()
	media := openapi3.NewMediaType()
	media.ItemSchema = kinSchema(t, text(t, schema(t)))
	doc := &openapi3.T{
		OpenAPI: "3.2.0",
		Info:    &openapi3.Info{Title: "Market", Version: "1.0"},
		Paths: openapi3.NewPaths(openapi3.WithPath("/market", &openapi3.PathItem{Get: &openapi3.Operation{
			Responses: openapi3.NewResponses(openapi3.WithStatus(http.StatusOK, &openapi3.ResponseRef{
				Value: openapi3.NewResponse().WithDescription("the trades").WithContent(openapi3.Content{"text/event-stream": media}),
			})),
		}})),
		Components: &openapi3.Components{Schemas: openapi3.Schemas{"Party": kinSchema(t, partySchema)}},
	}
	return validKin(t, doc)
}

func kinSchema(t *testing.T, text string) *openapi3.SchemaRef {
	t.Helper()
	var schema openapi3.SchemaRef
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	return &schema
}

// validKin has kin-openapi validate a document as well.
func validKin(t *testing.T, doc *openapi3.T) string {
	t.Helper()
	if err := openapi3.NewLoader().ResolveRefsIn(doc, nil); err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return text(t, doc)
}

// kin-openapi refuses itemSchema in an older document.
func TestKinBefore32(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(byHand(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Errorf("3.2.0: got %v, want no error", err)
	}
	doc.OpenAPI = "3.1.0"
	if err := doc.Validate(t.Context()); err == nil || !strings.Contains(err.Error(), "itemSchema") {
		t.Errorf("3.1.0: got %v, want an error that names itemSchema", err)
	}
}

func byHuma(t *testing.T) string {
	t.Helper()
	return text(t, humaDocument(t))
}

func humaDocument(t *testing.T) *huma.OpenAPI {
	t.Helper()
	config := huma.DefaultConfig("Market", "1.0")
	config.OpenAPI.OpenAPI = "3.2.0"
	api := humago.New(http.NewServeMux(), config)
	huma.Register(api, huma.Operation{
		Method: http.MethodGet, Path: "/market",
		Responses: map[string]*huma.Response{"200": {
			Description: "the trades",
			Content: map[string]*huma.MediaType{
				"text/event-stream": {Extensions: map[string]any{"itemSchema": schema(t)}},
			},
		}},
	}, func(context.Context, *struct{}) (*huma.StreamResponse, error) { return nil, nil })
	api.OpenAPI().Components.Schemas.Map()["Party"] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"name"},
		Properties: map[string]*huma.Schema{"name": {Type: huma.TypeString}, "agent": {Ref: "#/components/schemas/Party"}},
	}
	return api.OpenAPI()
}

// huma's YAML has the schema too.
func TestHumaYAML(t *testing.T) {
	yaml, err := humaDocument(t).YAML()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(yaml)
	if err != nil {
		t.Fatalf("%v in\n%s", err, yaml)
	}
	item := doc.Paths.Value("/market").Get.Responses.Status(http.StatusOK).Value.Content["text/event-stream"].ItemSchema
	if got, want := item.Value.OneOf[0].Value.Properties["event"].Value.Const, "trade"; got != want {
		t.Errorf("first event: got %v, want %v", got, want)
	}
}

// huma's conversion to 3.0 does not know 3.2, as docs/openapi.md says.
func TestHumaDowngrade(t *testing.T) {
	old, err := humaDocument(t).Downgrade()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"openapi":"3.2.0"`, `"itemSchema"`} {
		if !strings.Contains(string(old), want) {
			t.Errorf("got %s, want %s in it: change docs/openapi.md if huma converts it now", old, want)
		}
	}
}

// swag writes documents of OpenAPI 3.1 from comments, which cannot have an itemSchema. So
// the document is changed after swag has made it.
func bySwag(t *testing.T) string {
	t.Helper()
	parser := swag.New(swag.GenerateOpenAPI3Doc(true), swag.SetDebugger(quiet{}))
	if err := parser.ParseAPI("testdata/swag", "main.go", 0); err != nil {
		t.Fatal(err)
	}
	made := text(t, parser.GetOpenAPI())

	doc, err := openapi3.NewLoader().LoadFromData([]byte(made))
	if err != nil {
		t.Fatalf("%v in %s", err, made)
	}
	doc.OpenAPI = "3.2.0"
	doc.Paths.Value("/market").Get.Responses.Status(http.StatusOK).Value.Content["text/event-stream"] =
		&openapi3.MediaType{ItemSchema: kinSchema(t, text(t, schema(t)))}
	if doc.Components == nil {
		doc.Components = &openapi3.Components{}
	}
	doc.Components.Schemas = openapi3.Schemas{"Party": kinSchema(t, partySchema)}
	return validKin(t, doc)
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func text(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each library makes a valid document, and the events of a real stream match the schema in
// it. The validator finds faults in others, or it would prove nothing.
func TestDocuments(t *testing.T) {
	dir := testenv.NPM(t, os.DirFS("testdata"))
	docs, events := documents(t), read(t)
	if got, want := len(events), 6; got != want {
		t.Fatalf("events: got %d, want %d", got, want)
	}
	var broken []string
	for old, wrong := range map[string]string{
		`"itemSchema"`:      `"itemsSchema"`,
		`"type":"object"`:   `"type":"objekt"`,
		`"format":"double"`: `"minimum":"1"`, // in the schema of the data
	} {
		broken = append(broken, wrong)
		docs[wrong] = strings.Replace(docs["hand"], old, wrong, 1)
	}
	faults := []event{
		{"data": `"A"`},
		{"event": "trade", "data": `["A"]`},
		{"event": "trade", "data": `{}`},
		{"event": "unknown", "data": `{}`},
		{"event": "notice"},
		{"event": "notice", "data": "", "id": 1},
	}
	answers := judge(t, dir, docs, append(events, faults...))
	for name, answer := range answers {
		if got, want := valid(answer.Document), !slices.Contains(broken, name); got != want {
			t.Errorf("%s: got a valid document: %t, want %t: %s in\n%s", name, got, want, answer.Document, docs[name])
		}
		for i, event := range answer.Events {
			if got, want := valid(event), i < len(events); got != want {
				t.Errorf("%s, event %d: got a match: %t, want %t: %s", name, i+1, got, want, event)
			}
		}
	}
	if got, want := len(answers["swag"].Events), len(events)+len(faults); got != want {
		t.Errorf("events judged: got %d, want %d", got, want)
	}
}

// An answer has the faults of a document, and of each event: null if there are none.
type answer struct {
	Document json.RawMessage   `json:"document"`
	Events   []json.RawMessage `json:"events"`
}

func valid(faults json.RawMessage) bool { return string(faults) == "null" }

// judge has the validator in dir judge documents, and events by the schemas in them.
func judge(t *testing.T, dir string, docs map[string]string, events []event) map[string]answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Program(t, "node"), "validate.js")
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(text(t, map[string]any{"documents": docs, "path": itemPath, "events": events}))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var answers map[string]answer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got, want := len(answers), len(docs); got != want {
		t.Fatalf("answers: got %d, want %d", got, want)
	}
	return answers
}
