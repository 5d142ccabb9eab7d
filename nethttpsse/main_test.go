package nethttpsse_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.ParallelChecks()
	ssetest.Main(m)
}
