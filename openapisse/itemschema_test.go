package openapisse_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/openapisse"
)

var update = flag.Bool("update", false, "write testdata/market.json again")

// What a market sends.
type (
	side  string
	trade struct {
		Symbol string    `json:"symbol" jsonschema:"the name of the share"`
		Price  float64   `json:"price"`
		Side   side      `json:"side"`
		At     time.Time `json:"at"`
		Note   *string   `json:"note"`
	}
	book struct {
		Bids []trade        `json:"bids"`
		Size map[string]int `json:"size,omitempty"`
	}
)

func market(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := openapisse.ItemSchema(
		openapisse.JSON[trade]("trade"),
		openapisse.JSON[book](""),
		openapisse.Text("notice"),
		openapisse.Type[side](&jsonschema.Schema{Type: "string", Enum: []any{"buy", "sell"}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestGolden(t *testing.T) {
	text, err := json.MarshalIndent(market(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	const golden = "testdata/market.json"
	if *update {
		if err := os.WriteFile(golden, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s differs (go test -update writes it): got\n%s", golden, text)
	}
}

// Only the events that the parts describe match the schema.
func TestItemSchemaMatches(t *testing.T) {
	resolved, err := market(t).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		event map[string]any
		want  bool
	}{
		{"a type", map[string]any{"event": "trade", "data": "{}"}, true},
		{"another type", map[string]any{"event": "notice", "data": ""}, true},
		{"everything", map[string]any{"event": "notice", "data": "a\nb", "id": "1", "retry": 5.}, true},
		{"no type", map[string]any{"data": "{}"}, true},
		{"the type message", map[string]any{"event": "message", "data": "{}"}, true},
		{"an unknown type", map[string]any{"event": "Trade", "data": "{}"}, false},
		{"an empty type", map[string]any{"event": "", "data": "{}"}, false}, // the parser leaves it out
		{"no data", map[string]any{"event": "trade"}, false},
		{"data that is not a string", map[string]any{"event": "trade", "data": map[string]any{}}, false},
		{"an ID that is not a string", map[string]any{"event": "trade", "data": "", "id": 1.}, false},
		{"a time that is not an integer", map[string]any{"event": "trade", "data": "", "retry": 1.5}, false},
		{"a time below zero", map[string]any{"event": "trade", "data": "", "retry": -1.}, false},
	}
	for _, tt := range tests {
		if err := resolved.Validate(tt.event); (err == nil) != tt.want {
			t.Errorf("%s: got %v, want a match: %t", tt.name, err, tt.want)
		}
	}
}

// The stream of one type without a name has events without a name.
func TestItemSchemaOfOneType(t *testing.T) {
	schema, err := openapisse.ItemSchema(openapisse.JSON[int](""))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"object","required":["data"],"properties":{"id":{"type":"string"},"event":{"type":"string"},"data":{"type":"string"},` +
		`"retry":{"type":"integer","minimum":0}},"oneOf":[{"properties":{"event":{"const":"message"},` +
		`"data":{"type":"string","contentMediaType":"application/json","contentSchema":{"type":"integer","format":"int64"}}}}]}`
	if got := compact(t, schema); got != canonical(t, want) {
		t.Errorf("got  %s\nwant %s", got, canonical(t, want))
	}
}

// The data is what EncodeJSON sends, and what the schema describes.
func TestEncodeJSON(t *testing.T) {
	trades := func(yield func(*trade, error) bool) {
		_ = yield(&trade{Side: "buy"}, nil) && yield(nil, nil)
	}
	schema := describe(t, openapisse.JSON[*trade](""))
	for e, err := range core.EncodeJSON("trade", trades) {
		if err != nil {
			t.Fatal(err)
		}
		var instance any
		if err := json.Unmarshal([]byte(e.Data), &instance); err != nil {
			t.Fatal(err)
		}
		resolved, err := schema.Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := resolved.Validate(instance); err != nil {
			t.Errorf("%s: %v", e.Data, err)
		}
	}
}

// What ItemSchema returns is the caller's, and what Type was given stays so.
func TestItemSchemaCopies(t *testing.T) {
	given := &jsonschema.Schema{Type: "string"}
	part := openapisse.Type[side](given)
	first, err := openapisse.ItemSchema(openapisse.JSON[side]("a"), openapisse.JSON[trade]("b"), part)
	if err != nil {
		t.Fatal(err)
	}
	content := first.OneOf[0].Properties["data"].ContentSchema
	content.Description = "changed"
	if got := first.OneOf[1].Properties["data"].ContentSchema.Properties["side"].Description; got != "" {
		t.Errorf("another use of the type: got description %q, want none", got)
	}
	if given.Description != "" {
		t.Errorf("what Type was given: got description %q, want none", given.Description)
	}
	if _, err := first.Resolve(nil); err != nil {
		t.Errorf("the schema is not a tree: %v", err)
	}
}

func TestItemSchemaErrors(t *testing.T) {
	tests := []struct {
		name  string
		parts []openapisse.Part
		want  string
	}{
		{"nothing", nil, "openapisse: the stream has no events: add a JSON or a Text"},
		{"no events", []openapisse.Part{openapisse.Type[side](&jsonschema.Schema{})}, "openapisse: the stream has no events: "},
		{"twice", []openapisse.Part{openapisse.Text("a"), openapisse.JSON[int]("a")}, `openapisse: two parts describe the event "a": `},
		{"message", []openapisse.Part{openapisse.Text(""), openapisse.Text("message")}, `openapisse: two parts describe the event "message": `},
		{"two lines", []openapisse.Part{openapisse.Text("a\nb")}, `openapisse: event "a\nb": core: `},
		{"no JSON", []openapisse.Part{openapisse.JSON[chan int]("a")}, `openapisse: event "a": chan int has no JSON: `},
		{"no schema", []openapisse.Part{openapisse.JSON[int]("a"), openapisse.Type[side](nil)}, `openapisse: Type[openapisse_test.side] has no schema: `},
	}
	for _, tt := range tests {
		if _, err := openapisse.ItemSchema(tt.parts...); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s …", tt.name, err, tt.want)
		}
	}
}
