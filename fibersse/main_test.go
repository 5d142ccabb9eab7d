package fibersse_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// longLived are goroutines of fasthttp's and fiber's that outlive a server.
var longLived = []string{
	"fasthttp.updateServerDate",
	"fasthttp.(*workerPool).Start",
	"utils.StartTimeStampUpdater",
}

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.ParallelChecks()
	ssetest.Main(m, longLived...)
}
