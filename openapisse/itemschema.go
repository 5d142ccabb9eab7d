package openapisse

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/yieldsse/yieldsse/core"
)

// A Part is one part of a stream's description: events of one type ([JSON], [Text]), or a
// Go type whose schema you know better ([Type]).
type Part func(*stream)

// A stream is what the parts of a description say.
type stream struct {
	events []event
	types  types
}

// An event is what all events of one type have in common.
type event struct {
	typ  string
	data reflect.Type // nil if the data is not JSON
}

// JSON describes events of type typ whose data is the JSON of a T, as [core.Event.JSON] and
// [core.EncodeJSON] make it. An empty typ means "message".
func JSON[T any](typ string) Part {
	return func(s *stream) { s.events = append(s.events, event{typ, reflect.TypeFor[T]()}) }
}

// Text describes events of type typ whose data is any text. An empty typ means "message".
func Text(typ string) Part {
	return func(s *stream) { s.events = append(s.events, event{typ, nil}) }
}

// Type has schema describe each T, in all data of the stream. Use it to list the values of
// T, to describe a T that has its own MarshalJSON, or to refer to a schema in your document:
//
//	openapisse.Type[Side](&jsonschema.Schema{Type: "string", Enum: []any{"buy", "sell"}})
//	openapisse.Type[User](&jsonschema.Schema{Ref: "#/components/schemas/User"})
//
// A pointer to a T may also be null. ItemSchema copies the schema.
func Type[T any](schema *jsonschema.Schema) Part {
	return func(s *stream) { s.types[reflect.TypeFor[T]()] = schema }
}

// ItemSchema returns a schema for each event of a stream, which has the types of events
// that the parts describe, and no others. If two parts describe the same Go type, the last
// one counts.
//
// The schema's OneOf has a schema for each type of event, in the order of the parts. The
// schema is the caller's: change it, for example to add descriptions. It marshals to JSON.
//
// ItemSchema returns an error if no part describes an event, if two describe the same type
// of event, if a type is one that an event cannot have, if encoding/json cannot encode the
// data, or if a schema is nil. You may call it from several goroutines at once.
func ItemSchema(parts ...Part) (*jsonschema.Schema, error) {
	s := stream{types: types{}}
	for _, part := range parts {
		part(&s)
	}
	if len(s.events) == 0 {
		return nil, errors.New("openapisse: the stream has no events: add a JSON or a Text")
	}
	for t, schema := range s.types {
		if schema == nil {
			return nil, fmt.Errorf("openapisse: Type[%s] has no schema: give it one that is not nil", t)
		}
	}
	item := &jsonschema.Schema{
		Type:     "object",
		Required: []string{"data"}, // clients ignore a block without data
		Properties: map[string]*jsonschema.Schema{
			"id":    {Type: "string"},
			"event": {Type: "string"},
			"data":  {Type: "string"},
			"retry": {Type: "integer", Minimum: new(0.0)},
		},
		PropertyOrder: []string{"id", "event", "data", "retry"},
	}
	known := map[string]bool{}
	for _, e := range s.events {
		name := cmp.Or(e.typ, "message")
		if known[name] {
			return nil, fmt.Errorf("openapisse: two parts describe the event %q: use one, of an interface if the data differs", name)
		}
		known[name] = true
		schema, err := s.describe(e)
		if err != nil {
			return nil, fmt.Errorf("openapisse: event %q: %w", name, err)
		}
		item.OneOf = append(item.OneOf, schema)
	}
	return item, nil
}

// describe returns a schema that only events of e's type match.
func (s *stream) describe(e event) (*jsonschema.Schema, error) {
	if _, err := (core.Event{Type: e.typ}).AppendText(nil); err != nil {
		return nil, err
	}
	var name any = cmp.Or(e.typ, "message")
	schema := &jsonschema.Schema{
		Properties:    map[string]*jsonschema.Schema{"event": {Const: &name}},
		PropertyOrder: []string{"event", "data"},
	}
	if name != "message" { // which an event without a type has
		schema.Required = []string{"event"}
	}
	if e.data == nil {
		return schema, nil
	}
	content, err := s.types.schema(e.data, false, nil)
	if err != nil {
		return nil, err
	}
	schema.Properties["data"] = &jsonschema.Schema{Type: "string", ContentMediaType: "application/json", ContentSchema: content}
	return schema, nil
}
