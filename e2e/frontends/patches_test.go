package frontends_test

import (
	"html"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// htmlEvent is for htmx 2 with sse-swap="price", and without a type for htmx 4.
func htmlEvent(typ, text string) core.Event {
	return core.Event{Type: typ, Data: "<li>" + html.EscapeString(text) + "</li>"}
}

// datastarPatch makes an event that puts HTML into a page, such as datastarPatch("#list", "append",
// "<li>1</li>").
func datastarPatch(selector, mode, elements string) core.Event {
	return core.Event{
		Type: "datastar-patch-elements",
		Data: "selector " + selector + "\nmode " + mode + "\nelements " + strings.ReplaceAll(elements, "\n", "\nelements "),
	}
}

// turboStream makes an event that <turbo-stream-source> applies to a page. It has no type,
// because Turbo reads no others.
func turboStream(action, target, content string) core.Event {
	stream := `<turbo-stream action="` + action + `" target="` + target + `">`
	return core.Event{Data: stream + "<template>" + content + "</template></turbo-stream>"}
}
