package host

import (
	"fmt"

	"github.com/yieldsse/yieldsse/core"
)

// FailureLine returns what an adapter writes to its server's log about a stream that has
// failed. request is the method and path, as the client sent them. It is one line, whatever
// the client has put into the path, or the application into the error.
func FailureLine(adapter, request string, err error) string {
	failed := core.StreamError{Err: err}
	return fmt.Sprintf("%s: stream of %q: %s", adapter, request, failed.Error())
}
