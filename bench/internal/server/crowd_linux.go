package server

import (
	"net"

	"github.com/yieldsse/yieldsse/bench/internal/reader"
)

func serveCrowd(ln net.Listener) error { return reader.ServeCrowd(ln, SentAt) }
