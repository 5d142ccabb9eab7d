//go:build !linux

package server

import (
	"errors"
	"net"
)

func serveCrowd(net.Listener) error { return errors.ErrUnsupported }
