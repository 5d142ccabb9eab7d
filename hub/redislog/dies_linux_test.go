package redislog_test

import (
	"os/exec"
	"syscall"
)

// dieTogether makes a process end with the thread that starts it.
func dieTogether(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
