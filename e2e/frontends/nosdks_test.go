//go:build !sdks

package frontends_test

// sdks is empty without the tag sdks.
var sdks map[string]goClient
