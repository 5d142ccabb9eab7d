package fibersse_test

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/log"

	"github.com/yieldsse/yieldsse/ssetest"
)

func TestDifferential(t *testing.T) {
	log.SetOutput(io.Discard) // where the failures of detached streams go
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	ssetest.Differential(t, ssetest.Mount{
		Serve: func(t testing.TB, site *ssetest.Site) (shutdown func(context.Context) error) {
			return serveApp(t, site, fiber.Config{StreamRequestBody: true}) // bodies are the adapter's to read
		},
		Protocols: []ssetest.Protocol{ssetest.HTTP1, ssetest.HTTP1TLS},
		Ignore:    longLived,

		HoldsAnswers: true,
	})
}
