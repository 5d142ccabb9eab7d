package openapisse

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/jsonschema-go/jsonschema"
)

var (
	isZeroerType = reflect.TypeFor[interface{ IsZero() bool }]()

	// otherTag matches the tags jsonschema of other libraries, which are not descriptions.
	otherTag = regexp.MustCompile(`^\S+=`)
)

// object describes a struct. It does not forbid other properties, so that a field can be
// added later.
func (ts types) object(t reflect.Type, addressable bool, around []reflect.Type) (*jsonschema.Schema, error) {
	object := &jsonschema.Schema{Type: "object", Properties: map[string]*jsonschema.Schema{}}
	for _, f := range fields(t) {
		s, err := ts.field(f, addressable, around)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		if text := f.Tag.Get("jsonschema"); text != "" && !otherTag.MatchString(text) {
			s.Description = text
		}
		object.Properties[f.name] = s
		object.PropertyOrder = append(object.PropertyOrder, f.name)
		if !f.optional() {
			object.Required = append(object.Required, f.name)
		}
	}
	return object, nil
}

// field describes the value of a struct's field.
func (ts types) field(f field, addressable bool, around []reflect.Type) (*jsonschema.Schema, error) {
	t := f.Type
	if f.hasNoNull() && t.Kind() == reflect.Pointer && ts[t] == nil {
		t, addressable = t.Elem(), true
	}
	s, err := ts.schema(t, addressable || f.behindPointer, around)
	if err != nil || ts[t] != nil {
		return s, err
	}
	if f.quoted {
		s = quoted(s)
	}
	if f.hasNoNull() && t == f.Type && len(s.Types) == 2 {
		s.Type, s.Types = s.Types[0], nil
	}
	return s, nil
}

// A field is a field of a struct, or of one that is embedded there, as encoding/json sees it.
type field struct {
	reflect.StructField

	name          string // in JSON
	tagged        bool   // the name is that of the tag
	index         []int  // where the field is, in the outermost struct
	behindPointer bool   // a pointer to an embedded struct leads to it
	omitEmpty     bool
	omitZero      bool
	quoted        bool // the tag has the option string
}

// optional reports whether encoding/json may leave the field out.
func (f field) optional() bool {
	if f.behindPointer || f.omitZero {
		return true
	}
	switch f.Type.Kind() {
	case reflect.Struct, reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return false // never empty
	case reflect.Array:
		return f.omitEmpty && f.Type.Len() == 0
	default:
		return f.omitEmpty
	}
}

// hasNoNull reports whether encoding/json leaves out the field rather than write null.
func (f field) hasNoNull() bool {
	switch f.Type.Kind() {
	case reflect.Pointer:
		return f.omitEmpty || f.omitZero
	case reflect.Slice, reflect.Map:
		return f.omitEmpty || f.omitZero && !reflect.PointerTo(f.Type).Implements(isZeroerType)
	default:
		return false
	}
}

// An embedding is a struct that another one embeds, at index in the outermost struct.
type embedding struct {
	typ           reflect.Type
	index         []int
	behindPointer bool
}

// fields returns the fields that encoding/json writes for a struct, in its order. If there
// are several with a name, it writes the one that is embedded the least deep; among these,
// one whose tag has the name; and none if there are still several.
func fields(t reflect.Type) []field {
	byName := map[string][]field{}
	visited := map[reflect.Type]bool{}
	level, times := []embedding{{typ: t}}, map[reflect.Type]int{}
	for len(level) > 0 {
		var next []embedding
		nextTimes := map[reflect.Type]int{}
		for _, e := range level {
			visited[e.typ] = true
			for i := range e.typ.NumField() {
				f, inner := e.field(i)
				switch {
				case inner != nil:
					if nextTimes[inner.typ]++; nextTimes[inner.typ] == 1 {
						next = append(next, *inner)
					}
				case f != nil:
					byName[f.name] = append(byName[f.name], *f)
					if times[e.typ] > 1 { // they hide each other
						byName[f.name] = append(byName[f.name], *f)
					}
				}
			}
		}
		level = slices.DeleteFunc(next, func(e embedding) bool { return visited[e.typ] })
		times = nextTimes
	}
	var all []field
	for _, same := range byName {
		if f := dominant(same); f != nil {
			all = append(all, *f)
		}
	}
	slices.SortFunc(all, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return all
}

// dominant returns the field that hides the others with its name, or nil if none does. They
// are in the order of their depths.
func dominant(same []field) *field {
	depth := len(same[0].index)
	var plain, tagged []field
	for _, f := range same {
		switch {
		case len(f.index) > depth:
		case f.tagged:
			tagged = append(tagged, f)
		default:
			plain = append(plain, f)
		}
	}
	for _, candidates := range [][]field{tagged, plain} {
		switch len(candidates) {
		case 0:
		case 1:
			return &candidates[0]
		default:
			return nil
		}
	}
	return nil
}

// field returns the field i of e's struct if it has a name in JSON, or what it embeds, or
// neither.
func (e embedding) field(i int) (*field, *embedding) {
	f := e.typ.Field(i)
	elem := f.Type
	if elem.Name() == "" && elem.Kind() == reflect.Pointer {
		elem = elem.Elem()
	}
	embeds := f.Anonymous && elem.Kind() == reflect.Struct
	tag := f.Tag.Get("json")
	if tag == "-" || !f.IsExported() && !embeds {
		return nil, nil
	}
	name, options, _ := strings.Cut(tag, ",")
	if strings.ContainsFunc(name, isNotInNames) {
		name = malformed(name)
	}
	index := append(slices.Clip(e.index), i)
	if embeds && name == "" {
		return nil, &embedding{elem, index, e.behindPointer || elem != f.Type}
	}
	has := func(option string) bool { return slices.Contains(strings.Split(options, ","), option) }
	return &field{
		StructField: f, name: cmp.Or(name, f.Name), tagged: name != "", index: index, behindPointer: e.behindPointer,
		omitEmpty: has("omitempty"), omitZero: has("omitzero"),
		quoted: has("string") && basic(elem.Kind()) != nil,
	}, nil
}

// malformed returns the name that encoding/json makes of one in a tag that has a character
// which is not allowed there, or "" if it ignores the name. It differs between versions of
// Go, so encoding/json is asked.
func malformed(name string) string {
	const untagged = "Untagged"
	probe := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: untagged, Type: reflect.TypeFor[int](), Tag: reflect.StructTag("json:" + strconv.Quote(name)),
	}}))
	var names map[string]int
	text, err := json.Marshal(probe.Interface())
	if err == nil {
		err = json.Unmarshal(text, &names)
	}
	for got := range names {
		if err == nil && got != untagged {
			return got
		}
	}
	return ""
}

// isNotInNames reports whether r is not allowed in a name in a tag.
func isNotInNames(r rune) bool {
	return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// quoted describes what the option string makes of a value that s describes. The option does
// nothing to what has its own MarshalJSON or MarshalText.
func quoted(s *jsonschema.Schema) *jsonschema.Schema {
	switch {
	case s.Type != "":
		return &jsonschema.Schema{Type: "string"}
	case s.Types != nil:
		return &jsonschema.Schema{Types: []string{"string", "null"}}
	}
	return s
}
