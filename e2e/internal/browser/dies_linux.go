package browser

import (
	"os/exec"
	"syscall"
)

// dies has a process end when the thread that starts it does. chromedp keeps that thread
// as long as the browser runs.
func dies(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
