package server

import "github.com/yieldsse/yieldsse/bench/internal/reader"

func init() { servers[Crowd] = reader.ServeCrowd }
