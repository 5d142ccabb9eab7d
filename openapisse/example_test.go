package openapisse_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/yieldsse/yieldsse/openapisse"
)

// The schema is the itemSchema of the media type text/event-stream in a response.
func Example() {
	type Price struct {
		Symbol string    `json:"symbol" jsonschema:"the name of the share"`
		At     time.Time `json:"at"`
		Euros  float64   `json:"euros"`
	}

	schema, err := openapisse.ItemSchema(openapisse.JSON[Price]("price"))
	if err != nil {
		fmt.Println(err)
		return
	}
	response := map[string]any{
		"description": "the prices, as they change",
		"content":     map[string]any{"text/event-stream": map[string]any{"itemSchema": schema}},
	}
	text, err := json.MarshalIndent(response, "", "  ")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(text))
	// Output:
	// {
	//   "content": {
	//     "text/event-stream": {
	//       "itemSchema": {
	//         "type": "object",
	//         "properties": {
	//           "id": {
	//             "type": "string"
	//           },
	//           "event": {
	//             "type": "string"
	//           },
	//           "data": {
	//             "type": "string"
	//           },
	//           "retry": {
	//             "type": "integer",
	//             "minimum": 0
	//           }
	//         },
	//         "required": [
	//           "data"
	//         ],
	//         "oneOf": [
	//           {
	//             "properties": {
	//               "event": {
	//                 "const": "price"
	//               },
	//               "data": {
	//                 "type": "string",
	//                 "contentMediaType": "application/json",
	//                 "contentSchema": {
	//                   "type": "object",
	//                   "properties": {
	//                     "symbol": {
	//                       "type": "string",
	//                       "description": "the name of the share"
	//                     },
	//                     "at": {
	//                       "type": "string",
	//                       "format": "date-time"
	//                     },
	//                     "euros": {
	//                       "type": "number",
	//                       "format": "double"
	//                     }
	//                   },
	//                   "required": [
	//                     "symbol",
	//                     "at",
	//                     "euros"
	//                   ]
	//                 }
	//               }
	//             },
	//             "required": [
	//               "event"
	//             ]
	//           }
	//         ]
	//       }
	//     }
	//   },
	//   "description": "the prices, as they change"
	// }
}

// A stream may have events of several types. Without a type, an event is a "message".
func ExampleItemSchema() {
	type Token struct {
		Text string `json:"text"`
	}
	type Usage struct {
		Tokens int `json:"tokens"`
	}

	schema, err := openapisse.ItemSchema(
		openapisse.JSON[Token](""),
		openapisse.JSON[Usage]("usage"),
		openapisse.Text("done"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	schema.OneOf[1].Description = "comes once, at the end" // the schema is yours
	for _, event := range schema.OneOf {
		fmt.Printf("%v: %q\n", *event.Properties["event"].Const, event.Description)
	}
	// Output:
	// message: ""
	// usage: "comes once, at the end"
	// done: ""
}

// Go has no list of the values of a type, and a MarshalJSON may return anything. Type says
// what they are, in all data of the stream.
func ExampleType() {
	type Side string
	type Trade struct {
		Side Side `json:"side"`
		User User `json:"user"`
	}

	schema, err := openapisse.ItemSchema(
		openapisse.JSON[Trade]("trade"),
		openapisse.Type[Side](&jsonschema.Schema{Type: "string", Enum: []any{"buy", "sell"}}),
		openapisse.Type[User](&jsonschema.Schema{Ref: "#/components/schemas/User"}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := json.MarshalIndent(schema.OneOf[0].Properties["data"].ContentSchema, "", "  ")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(text))
	// Output:
	// {
	//   "type": "object",
	//   "properties": {
	//     "side": {
	//       "type": "string",
	//       "enum": [
	//         "buy",
	//         "sell"
	//       ]
	//     },
	//     "user": {
	//       "$ref": "#/components/schemas/User"
	//     }
	//   },
	//   "required": [
	//     "side",
	//     "user"
	//   ]
	// }
}

// A User has its own JSON.
type User struct{ name string }

func (u User) MarshalJSON() ([]byte, error) { return json.Marshal([]string{u.name}) }
