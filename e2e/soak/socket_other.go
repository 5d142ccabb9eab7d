//go:build !linux

package main

import (
	"errors"
	"net"
	"os/exec"
	"syscall"
)

func limitUnacknowledged(string, string, syscall.RawConn) error { return nil }

func vanish(*net.TCPConn) error { return errors.ErrUnsupported }

func dieTogether(*exec.Cmd) {}

func limitFiles(int) error { return errors.ErrUnsupported }
