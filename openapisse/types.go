package openapisse

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

var (
	timeType          = reflect.TypeFor[time.Time]()
	numberType        = reflect.TypeFor[json.Number]()
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

// types are the Go types that the caller describes.
type types map[reflect.Type]*jsonschema.Schema

// schema describes what encoding/json makes of a t. addressable says that encoding/json
// certainly calls the methods of *t as well; otherwise that depends on what the caller passes.
// around has the types that contain this one.
func (ts types) schema(t reflect.Type, addressable bool, around []reflect.Type) (*jsonschema.Schema, error) {
	if s, ok := ts[t]; ok {
		return s.CloneSchemas(), nil
	}
	if slices.Contains(around, t) {
		return anything("%s, described above", t.Name()), nil
	}
	if t.Name() != "" { // others contain themselves only through one with a name
		around = append(slices.Clip(around), t)
	}
	if s := wellKnown(t, addressable); s != nil {
		return s, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		s, err := ts.schema(t.Elem(), true, around)
		if err != nil {
			return nil, err
		}
		if _, ok := ts[t.Elem()]; ok {
			return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "null"}}}, nil
		}
		return nullable(s), nil
	case reflect.Struct:
		return ts.object(t, addressable, around)
	case reflect.Map:
		if !isKey(t.Key()) {
			return nil, fmt.Errorf("%s has no JSON: its keys are neither strings nor integers, and have no MarshalText", t)
		}
		values, err := ts.schema(t.Elem(), false, around)
		return &jsonschema.Schema{Types: []string{"object", "null"}, AdditionalProperties: values}, err
	case reflect.Slice:
		if isByte(t.Elem()) {
			return &jsonschema.Schema{Types: []string{"string", "null"}, ContentEncoding: "base64"}, nil
		}
		items, err := ts.schema(t.Elem(), true, around)
		return &jsonschema.Schema{Types: []string{"array", "null"}, Items: items}, err
	case reflect.Array:
		items, err := ts.schema(t.Elem(), addressable, around)
		return &jsonschema.Schema{Type: "array", Items: items, MinItems: new(t.Len()), MaxItems: new(t.Len())}, err
	default:
		if s := basic(t.Kind()); s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("%s has no JSON: encoding/json does not encode it", t)
	}
}

// wellKnown describes types whose JSON does not follow from what they are made of, and
// returns nil for others.
func wellKnown(t reflect.Type, addressable bool) *jsonschema.Schema {
	pointer := reflect.PointerTo(t)
	switch {
	case t == timeType:
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case t == numberType:
		return &jsonschema.Schema{Type: "number"}
	case t.Kind() == reflect.Interface:
		return anything("any JSON")
	case t.Kind() == reflect.Pointer:
		return nil // the methods are those of what it points to
	case pointer.Implements(marshalerType):
		return anything("the JSON of %s", t.Name())
	case t.Implements(textMarshalerType), addressable && pointer.Implements(textMarshalerType):
		return &jsonschema.Schema{Type: "string"}
	case pointer.Implements(textMarshalerType):
		return anything("the JSON of %s", t.Name())
	}
	return nil
}

// basic describes booleans, numbers and strings. The formats are those of OpenAPI's registry.
func basic(kind reflect.Kind) *jsonschema.Schema {
	switch kind {
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}
	case reflect.String:
		return &jsonschema.Schema{Type: "string"}
	case reflect.Float32:
		return &jsonschema.Schema{Type: "number", Format: "float"}
	case reflect.Float64:
		return &jsonschema.Schema{Type: "number", Format: "double"}
	case reflect.Int:
		return &jsonschema.Schema{Type: "integer", Format: "int64"}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &jsonschema.Schema{Type: "integer", Format: kind.String()}
	case reflect.Uint, reflect.Uintptr:
		return &jsonschema.Schema{Type: "integer", Format: "uint64", Minimum: new(0.0)}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &jsonschema.Schema{Type: "integer", Format: kind.String(), Minimum: new(0.0)}
	default:
		return nil
	}
}

// isByte reports whether encoding/json writes a slice of t as base64.
func isByte(t reflect.Type) bool {
	pointer := reflect.PointerTo(t)
	return t.Kind() == reflect.Uint8 && !pointer.Implements(marshalerType) && !pointer.Implements(textMarshalerType)
}

// isKey reports whether encoding/json accepts t as the type of a map's keys.
func isKey(t reflect.Type) bool {
	s := basic(t.Kind())
	return s != nil && (s.Type == "string" || s.Type == "integer") || t.Implements(textMarshalerType)
}

// anything describes a value of which nothing is known. An empty schema would be true in
// JSON, which some tools do not expect.
func anything(format string, args ...any) *jsonschema.Schema {
	return &jsonschema.Schema{Description: fmt.Sprintf(format, args...)}
}

// nullable makes s allow null as well.
func nullable(s *jsonschema.Schema) *jsonschema.Schema {
	if s.Type != "" {
		s.Type, s.Types = "", []string{s.Type, "null"}
	}
	return s
}
