package redislog_test

import (
	"os/exec"
	"syscall"
)

// dieTogether has a process end when the thread does that starts it.
func dieTogether(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
