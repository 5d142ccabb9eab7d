package fiber3sse_test

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/log"

	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

func TestDifferential(t *testing.T) {
	log.SetOutput(io.Discard) // it gets the failures of detached streams
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	adaptertest.Differential(t, adaptertest.Mount{
		Serve: func(t testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
			return serveApp(t, site, fiber.Config{StreamRequestBody: true}) // so that the adapter reads the bodies
		},
		Protocols: []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS},
		Ignore:    longLived,

		HoldsAnswers: true,
	})
}
