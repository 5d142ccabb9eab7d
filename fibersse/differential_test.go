package fibersse_test

import (
	"io"
	"os"
	"testing"

	"github.com/gofiber/fiber/v2/log"

	"github.com/yieldsse/yieldsse/ssetest"
)

func TestDifferential(t *testing.T) {
	log.SetOutput(io.Discard) // where the failures of detached streams go
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	ssetest.Differential(t, ssetest.Mount{
		Serve:     serveSite,
		Protocols: []ssetest.Protocol{ssetest.HTTP1, ssetest.HTTP1TLS},
		Ignore:    longLived,

		HoldsAnswers: true,
	})
}
