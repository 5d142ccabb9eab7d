package echo5sse_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

func TestDifferential(t *testing.T) {
	adaptertest.Differential(t, mount)
}
