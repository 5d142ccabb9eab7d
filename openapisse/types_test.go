package openapisse_test

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/openapisse"
)

// A one is a struct with one field.
type one[T any] struct {
	V T `json:"v"`
}

type (
	level   int             // has MarshalText
	custom  struct{ X int } // has MarshalJSON
	pointed struct{ X int } // whose pointer has MarshalText
	odd     struct{ X int } // whose pointer has MarshalJSON
	octet   byte            // has MarshalText
	blob    []byte
	kind    string // the caller describes it
	zeroer  []int  // has IsZero
	tree    struct {
		Name string `json:"name"`
		Kids []tree `json:"kids"`
	}
	list map[string]list
)

func (level) MarshalText() ([]byte, error)    { return []byte("high"), nil }
func (custom) MarshalJSON() ([]byte, error)   { return []byte(`[1,"a"]`), nil }
func (*pointed) MarshalText() ([]byte, error) { return []byte("p"), nil }
func (*odd) MarshalJSON() ([]byte, error)     { return []byte(`"odd"`), nil }
func (octet) MarshalText() ([]byte, error)    { return []byte("o"), nil }
func (z zeroer) IsZero() bool                 { return len(z) == 1 }

type (
	base struct {
		A int    `json:"a"`
		B string `json:"b,omitempty"`
	}
	Base     struct{ C bool }
	embedded struct {
		base
		D float32
	}
	pointer struct {
		*Base
		D uint8
	}
	named struct {
		base `json:"base"`
	}
	hidden struct {
		base
		A string `json:"a"` // less deep
	}
	first     struct{ E, F int }
	second    struct{ E, G int }
	ambiguous struct {
		first
		second // E is neither of them
	}
	third struct {
		Other string `json:"F"` //nolint:tagliatelle // as the other, but for its case
	}
	preferred struct {
		first
		third // F is its
	}
	inner  struct{ P pointed }
	behind struct{ *inner }
	left   struct{ base }
	right  struct{ base }
	twice  struct {
		left
		right
		X int
	}
	loop struct {
		*loop
		X int
	}
	tags struct {
		Skipped  int    `json:"-"`
		Dash     int    `json:"-,"`   //nolint:staticcheck // it is legal
		Bad      int    `json:"a\"b"` //nolint:staticcheck // it is ignored
		Odd      int    `json:"$id@x,omitempty"`
		Quoted   int64  `json:",string"` //nolint:tagliatelle // the name may be left out
		QuotedP  *bool  `json:"qp,string"`
		QuotedS  string `json:"qs,string"`
		NotQuote []int  `json:"nq,string"` //nolint:staticcheck // it is ignored
		private  int
	}
	omits struct {
		Int    int            `json:"int,omitempty"`
		Ptr    *int           `json:"ptr,omitempty"`
		PtrPtr **int          `json:"ptrptr,omitempty"`
		Slice  []int          `json:"slice,omitempty"`
		Map    map[string]int `json:"map,omitempty"`
		Bytes  []byte         `json:"bytes,omitempty"`
		Struct base           `json:"struct,omitempty"` //nolint:modernize // never empty
		Array  [1]int         `json:"array,omitempty"`  // likewise
		Zero   time.Time      `json:"zero,omitzero"`
		ZPtr   *int           `json:"zptr,omitzero"`
		ZSlice []int          `json:"zslice,omitzero"`
		Zeroer zeroer         `json:"zeroer,omitzero"` // null is not its zero
	}
	described struct {
		Price float64 `json:"price" jsonschema:"in euros"`
		Other int     `json:"other" jsonschema:"minimum=3"` // of another library
	}
	kinds struct {
		Kind     kind   `json:"kind"`
		Pointer  *kind  `json:"pointer"`
		Optional *kind  `json:"optional,omitempty"`
		All      []kind `json:"all"`
	}
)

// A typeTest is a type of data, with a value or more.
type typeTest struct {
	name   string
	typ    reflect.Type
	part   openapisse.Part
	values []any
	want   string // the schema
}

func data[T any](want string, values ...T) typeTest {
	test := typeTest{name: reflect.TypeFor[T]().String(), typ: reflect.TypeFor[T](), part: openapisse.JSON[T]("x"), want: want}
	for _, value := range values {
		test.values = append(test.values, value)
	}
	return test
}

// typeTests have what encoding/json treats in a way of its own.
func typeTests() []typeTest {
	number, yes := 1, true
	pnumber := &number
	k := kind("k")
	return []typeTest{
		data(`{"type":"boolean"}`, true),
		data(`{"type":"string"}`, "a"),
		data(`{"type":"integer","format":"int64"}`, -1),
		data(`{"type":"integer","format":"int8"}`, int8(-1)),
		data(`{"type":"integer","minimum":0,"format":"uint64"}`, uint(1)),
		data(`{"type":"integer","minimum":0,"format":"uint16"}`, uint16(1)),
		data(`{"type":"number","format":"float"}`, float32(1.5)),
		data(`{"type":"number","format":"double"}`, 1.5),
		data(`{"type":"integer","format":"int64"}`, time.Second),
		data(`{"type":"number"}`, json.Number("1.5")),
		data(`{"type":"string","format":"date-time"}`, time.Unix(0, 0)),
		data[any](`{"description":"any JSON"}`, nil, 1, "a"),

		data(`{"type":["integer","null"],"format":"int64"}`, nil, &number),
		data(`{"type":["integer","null"],"format":"int64"}`, nil, &pnumber, new(*int)),
		data(`{"type":["string","null"],"format":"date-time"}`, nil, new(time.Time)),
		data(`{"type":["array","null"],"items":{"type":"string"}}`, nil, []string{"a"}),
		data(`{"type":"array","items":{"type":"string"},"minItems":2,"maxItems":2}`, [2]string{"a"}),
		data(`{"type":["object","null"],"additionalProperties":{"type":"boolean"}}`, nil, map[string]bool{"a": true}),
		data(`{"type":["object","null"],"additionalProperties":{"type":"boolean"}}`, nil, map[int]bool{-1: true}),
		data(`{"type":["object","null"],"additionalProperties":{"type":"boolean"}}`, nil, map[netip.Addr]bool{{}: true}),
		data(`{"type":["object","null"],"additionalProperties":{"description":"any JSON"}}`, map[string]any{"a": 1, "b": nil}),

		data(`{"type":["string","null"],"contentEncoding":"base64"}`, nil, []byte("a\xff")),
		data(`{"type":["string","null"],"contentEncoding":"base64"}`, nil, blob("a")),
		data(`{"type":"array","items":{"type":"integer","minimum":0,"format":"uint8"},"minItems":2,"maxItems":2}`, [2]byte{1}),
		data(`{"type":["array","null"],"items":{"type":"string"}}`, nil, []octet{1}),

		data(`{"type":"string"}`, level(1)),
		data(`{"type":["string","null"]}`, nil, new(level(1))),
		data(`{"type":"string"}`, netip.MustParseAddr("::1")),
		data(`{"description":"the JSON of custom"}`, custom{}),
		data(`{"description":"the JSON of custom"}`, nil, new(custom)),
		data(`{"description":"the JSON of `+reflect.TypeFor[json.RawMessage]().Name()+`"}`, nil, json.RawMessage(`{"a":1}`)),
		data(`{"description":"the JSON of Int"}`, big.NewInt(1)),

		// encoding/json calls a pointer's method only where it has the pointer.
		data(`{"description":"the JSON of pointed"}`, pointed{}),
		data(`{"type":["string","null"]}`, nil, &pointed{}),
		data(`{"type":["array","null"],"items":{"type":"string"}}`, []pointed{{}}),
		data(`{"type":"object","properties":{"v":{"description":"the JSON of pointed"}},"required":["v"]}`, one[pointed]{}),
		data(`{"type":["object","null"],"properties":{"v":{"type":"string"}},"required":["v"]}`, &one[pointed]{}),
		data(`{"type":"array","items":{"description":"the JSON of pointed"},"minItems":1,"maxItems":1}`, [1]pointed{}),
		data(`{"type":["object","null"],"additionalProperties":{"description":"the JSON of pointed"}}`, map[string]pointed{"a": {}}),
		data(`{"description":"the JSON of odd"}`, odd{}),
		data(`{"description":"the JSON of odd"}`, &odd{}),

		data(`{"type":"object","properties":{"a":{"type":"integer","format":"int64"},"b":{"type":"string"},"D":{"type":"number","format":"float"}},"required":["a","D"]}`,
			embedded{}, embedded{base: base{B: "b"}}),
		data(`{"type":"object","properties":{"C":{"type":"boolean"},"D":{"type":"integer","minimum":0,"format":"uint8"}},"required":["D"]}`,
			pointer{}, pointer{Base: &Base{}}),
		data(`{"type":"object","properties":{"base":{"type":"object","properties":{"a":{"type":"integer","format":"int64"},"b":{"type":"string"}},"required":["a"]}},"required":["base"]}`,
			named{}),
		data(`{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"string"}},"required":["a"]}`, hidden{}),
		data(`{"type":"object","properties":{"F":{"type":"integer","format":"int64"},"G":{"type":"integer","format":"int64"}},"required":["F","G"]}`, ambiguous{}),
		data(`{"type":"object","properties":{"E":{"type":"integer","format":"int64"},"F":{"type":"string"}},"required":["E","F"]}`, preferred{}),
		data(`{"type":"object","properties":{"P":{"type":"string"}}}`, behind{}, behind{&inner{}}),
		data(`{"type":"object","properties":{"X":{"type":"integer","format":"int64"}},"required":["X"]}`, twice{}),
		data(`{"type":"object","properties":{"X":{"type":"integer","format":"int64"}},"required":["X"]}`, loop{}, loop{loop: &loop{X: 1}, X: 2}),
		data(`{"type":"object","properties":{"-":{"type":"integer","format":"int64"},"`+bad()+`":{"type":"integer","format":"int64"},`+
			`"$id@x":{"type":"integer","format":"int64"},"Quoted":{"type":"string"},"qp":{"type":["string","null"]},"qs":{"type":"string"},`+
			`"nq":{"type":["array","null"],"items":{"type":"integer","format":"int64"}}},"required":["-","`+bad()+`","Quoted","qp","qs","nq"]}`,
			tags{private: 1}, tags{QuotedP: &yes, QuotedS: "s"}),
		data(`{"type":"object","properties":{"int":{"type":"integer","format":"int64"},"ptr":{"type":"integer","format":"int64"},`+
			`"ptrptr":{"type":["integer","null"],"format":"int64"},"slice":{"type":"array","items":{"type":"integer","format":"int64"}},`+
			`"map":{"type":"object","additionalProperties":{"type":"integer","format":"int64"}},"bytes":{"type":"string","contentEncoding":"base64"},`+
			`"struct":{"type":"object","properties":{"a":{"type":"integer","format":"int64"},"b":{"type":"string"}},"required":["a"]},`+
			`"array":{"type":"array","items":{"type":"integer","format":"int64"},"minItems":1,"maxItems":1},`+
			`"zero":{"type":"string","format":"date-time"},"zptr":{"type":"integer","format":"int64"},"zslice":{"type":"array","items":{"type":"integer","format":"int64"}},`+
			`"zeroer":{"type":["array","null"],"items":{"type":"integer","format":"int64"}}},"required":["struct","array"]}`,
			omits{}, omits{Int: 1, Ptr: &number, PtrPtr: new(*int), Slice: []int{1}, Map: map[string]int{"a": 1}, Bytes: []byte("a"), Zero: time.Unix(0, 0), ZPtr: &number, ZSlice: []int{}}),
		data(`{"type":"object","properties":{"price":{"description":"in euros","type":"number","format":"double"},"other":{"type":"integer","format":"int64"}},"required":["price","other"]}`,
			described{}),

		data(`{"type":"object","properties":{"name":{"type":"string"},"kids":{"type":["array","null"],"items":{"description":"tree, described above"}}},"required":["name","kids"]}`,
			tree{Kids: []tree{{}}}),
		data(`{"type":["object","null"],"additionalProperties":{"description":"list, described above"}}`, list{"a": {"b": nil}}),

		data(`{"type":"object","properties":{"kind":{"type":"string","enum":["k","l"]},"pointer":{"anyOf":[{"type":"string","enum":["k","l"]},{"type":"null"}]},`+
			`"optional":{"type":"string","enum":["k","l"]},"all":{"type":["array","null"],"items":{"type":"string","enum":["k","l"]}}},"required":["kind","pointer","all"]}`,
			kinds{Kind: "k"}, kinds{Kind: "k", Pointer: &k, Optional: &k, All: []kind{"l"}}),
	}
}

// bad returns the name of the field tags.Bad. Before Go 1.27, encoding/json ignores the whole
// name in such a tag, and since then only what follows the character that is not allowed.
func bad() string {
	text, err := json.Marshal(struct {
		Bad int `json:"a\"b"` //nolint:staticcheck // as in tags
	}{})
	if err == nil && string(text) == `{"a":0}` {
		return "a"
	}
	return "Bad"
}

// The schema of a type is right for each value, and describes each property.
func TestTypes(t *testing.T) {
	for _, tt := range typeTests() {
		t.Run(tt.name, func(t *testing.T) {
			schema := describe(t, tt.part)
			if got := compact(t, schema); got != canonical(t, tt.want) {
				t.Errorf("schema:\ngot  %s\nwant %s", got, canonical(t, tt.want))
			}
			for _, value := range tt.values {
				check(t, schema, value)
			}
			random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
			for range 100 {
				value := reflect.New(tt.typ).Elem()
				fill(value, random, 3)
				check(t, schema, value.Interface())
			}
		})
	}
}

// fill gives v a random value, of at most so many levels.
func fill(v reflect.Value, random *rand.Rand, levels int) {
	if !v.CanSet() && v.Kind() != reflect.Struct { // the fields of an embedded struct may be set
		return
	}
	n := random.IntN(3)
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(n == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(random.Int64() >> random.IntN(64))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(random.Uint64() >> random.IntN(64))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(random.NormFloat64())
	case reflect.String:
		if v.Type() == reflect.TypeFor[json.Number]() {
			v.SetString("-1e3")
		} else {
			v.SetString([]string{"", "k", "l"}[1+n/2]) // what a kind may be
		}
	case reflect.Pointer:
		if n > 0 && levels > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), random, levels-1)
		}
	case reflect.Slice:
		if n > 0 && levels > 0 && v.Type() != reflect.TypeFor[json.RawMessage]() {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), random, levels-1)
		}
	case reflect.Map:
		if n > 0 && levels > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n - 1 {
				key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(key, random, levels-1)
				fill(elem, random, levels-1)
				v.SetMapIndex(key, elem)
			}
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, random, levels)
		}
	default: // an interface stays nil
	}
}

// describe returns the schema of the data of an event that part describes.
func describe(t *testing.T, part openapisse.Part) *jsonschema.Schema {
	t.Helper()
	item, err := openapisse.ItemSchema(part, openapisse.Type[kind](&jsonschema.Schema{Type: "string", Enum: []any{"k", "l"}}))
	if err != nil {
		t.Fatal(err)
	}
	return item.OneOf[0].Properties["data"].ContentSchema
}

// check checks that schema is right for the JSON that an event has for value, and says
// everything about it.
func check(t *testing.T, schema *jsonschema.Schema, value any) {
	t.Helper()
	e, err := core.Event{}.JSON(value)
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
	if path := undescribed(schema, instance); path != "" {
		t.Errorf("%s: %s is not described", e.Data, path)
	}
}

// undescribed returns the path of a property of which schema says nothing, if there is one.
func undescribed(schema *jsonschema.Schema, instance any) string {
	if schema == nil {
		return "it"
	}
	switch instance := instance.(type) {
	case map[string]any:
		for name, value := range instance {
			property := schema.AdditionalProperties
			if schema.Properties != nil {
				property = schema.Properties[name]
			}
			if property == nil && schema.Description != "" {
				return "" // anything
			}
			if path := undescribed(property, value); path != "" {
				return name + "." + path
			}
		}
	case []any:
		for _, value := range instance {
			if path := undescribed(schema.Items, value); path != "" && schema.Description == "" {
				return "[]." + path
			}
		}
	}
	return ""
}

func compact(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return canonical(t, string(text))
}

// canonical returns text with the keys of its objects in order.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	ordered, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(ordered)
}

// What encoding/json cannot encode is refused, with the path that leads there.
func TestTypesWithoutJSON(t *testing.T) {
	type inner struct {
		Done chan int
	}
	for want, part := range map[string]openapisse.Part{
		`openapisse: event "message": func() has no JSON: encoding/json does not encode it`:                                   openapisse.JSON[func()](""),
		`openapisse: event "x": complex128 has no JSON: encoding/json does not encode it`:                                     openapisse.JSON[[]*complex128]("x"),
		`openapisse: event "x": map[bool]int has no JSON: its keys are neither strings nor integers, and have no MarshalText`: openapisse.JSON[map[bool]int]("x"),
	} {
		if _, err := openapisse.ItemSchema(part); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	_, err := openapisse.ItemSchema(openapisse.JSON[one[[1]inner]]("x"))
	if want := "openapisse_test.inner.Done: chan int has no JSON: "; err == nil || !strings.Contains(err.Error(), ".V: "+want) {
		t.Errorf("got %v, want … %s …", err, want)
	}
}

// What is ignored has no place in the schema, so nobody asks whether it has JSON.
func TestIgnoredFields(t *testing.T) {
	type callback struct {
		X    int
		Done func() `json:"-"`
	}
	if _, err := openapisse.ItemSchema(openapisse.JSON[callback]("x")); err != nil {
		t.Error(err)
	}
}
