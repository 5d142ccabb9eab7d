package echo5sse_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

func TestDifferential(t *testing.T) {
	adaptertest.Differential(t, adaptertest.Mount{
		Serve:     serveSite,
		Protocols: []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS, adaptertest.HTTP2, adaptertest.H2C},
	})
}
