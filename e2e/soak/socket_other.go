//go:build !linux

package main

import (
	"errors"
	"net"
)

func limitUnacknowledged(net.Listener) error { return nil }

func vanish(*net.TCPConn) error { return errors.ErrUnsupported }

func limitFiles(int) error { return errors.ErrUnsupported }
