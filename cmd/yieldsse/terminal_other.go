//go:build !unix || aix || solaris || illumos

package main

import "os"

// terminalWidth reports whether f seems to be a terminal. The number of columns is not
// known here.
func terminalWidth(f *os.File) (columns int, ok bool) {
	info, err := f.Stat()
	return 0, err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
