package echosse_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/ssetest"
)

func TestDifferential(t *testing.T) {
	ssetest.Differential(t, ssetest.Mount{
		Serve:     serveSite,
		Protocols: []ssetest.Protocol{ssetest.HTTP1, ssetest.HTTP1TLS, ssetest.HTTP2, ssetest.H2C},
	})
}
