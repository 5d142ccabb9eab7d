//go:build !unix || aix || solaris || illumos

package check

import "os"

// Width returns how many columns the terminal f has, or 0 where that is not known.
func Width(*os.File) int { return 0 }
