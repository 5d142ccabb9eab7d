package host

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// FailureLine returns what an adapter writes to its server's log about a stream that has
// failed. request is the method and path, as the client sent them. It is one line, whatever
// the client has put into the path, or the application into the error.
func FailureLine(adapter, request string, err error) string {
	text := fmt.Sprint(err)
	if strings.ContainsFunc(text, unicode.IsControl) {
		text = strconv.Quote(text)
	}
	return fmt.Sprintf("%s: stream of %q: %s", adapter, request, text)
}
