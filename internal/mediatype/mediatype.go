// Package mediatype finds the media type of a response, as browsers do.
package mediatype

import "strings"

// EventStream is the media type of event streams.
const EventStream = "text/event-stream"

// Of returns the media type that a response has if these are the values of its
// Content-Type fields, in lower case and without parameters, and how many are named. As
// the Fetch standard has it ("extract a MIME type"), all values are one list, and the last
// that is a media type counts.
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

// next cuts the first value off a list. A comma in a quoted string is a part of it.
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

// Token reports whether s is a token, as methods and the names of headers are (RFC 9110,
// section 5.6.2).
func Token(s string) bool {
	const chars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return s != "" && strings.Trim(s, chars) == ""
}
