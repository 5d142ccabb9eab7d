// Package frameworks runs streams on servers and frameworks that have no adapter of their
// own. docs/frameworks.md has its code.
package frameworks_test

import (
	"io"
	"log"
)

// quiet is for servers whose streams fail on purpose.
var quiet = log.New(io.Discard, "", 0)
