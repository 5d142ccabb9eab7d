// Package openapisse describes streams in OpenAPI 3.2: the types of their events, and the
// JSON that each type has as its data.
//
// [ItemSchema] returns the itemSchema of the media type text/event-stream, as a JSON Schema:
//
//	schema, err := openapisse.ItemSchema(
//		openapisse.JSON[Price]("price"),
//		openapisse.Text("notice"),
//	)
//
// Put it into your document as content["text/event-stream"].itemSchema of the response. In
// the model of OpenAPI 3.2, an event is an object, and its data is a string. So the schema
// of a Price is the contentSchema of that string.
//
// The schemas follow the rules of encoding/json, so they describe what [core.Event.JSON] and
// [core.EncodeJSON] send: names and options in tags, embedded structs, nil pointers, and
// byte slices as base64.
package openapisse
