// Package mediatype finds the media type of a response, as browsers do.
package mediatype

import "strings"

// EventStream is the media type of event streams.
const EventStream = "text/event-stream"

// Of returns the media type of a response with these values of its Content-Type fields, in
// lower case and without parameters, and how many media types they name. According to the
// Fetch standard ("extract a MIME type"), all values are one list, and its last media type
// counts.
func Of(values []string) (mediaType string, n int) {
	rest := strings.Join(values, ",")
	for rest != "" {
		var value string
		value, rest = next(rest)
		name, _, _ := strings.Cut(value, ";")
		name = strings.TrimSpace(name)
		if kind, sub, ok := strings.Cut(name, "/"); ok && Token(kind) && Token(sub) && name != "*/*" {
			mediaType = strings.ToLower(name)
			n++
		}
	}
	return mediaType, n
}

// next splits a list after its first value. A comma in a quoted string does not end a value.
func next(list string) (value, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case quoted && list[i] == '\\':
			i++
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// Token reports whether s is a token, like the name of a method or a header (RFC 9110,
// section 5.6.2).
func Token(s string) bool {
	const chars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return s != "" && strings.Trim(s, chars) == ""
}
