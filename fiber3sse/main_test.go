package fiber3sse_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// longLived are goroutines of fasthttp's and fiber's that outlive a server.
var longLived = []string{
	"fasthttp.updateServerDate",
	"fasthttp.(*workerPool).Start",
	"utils/v2.StartTimeStampUpdater",
	"memory.(*Storage).gc", // of the middlewares that keep answers
}

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.ParallelChecks()
	ssetest.Main(m, longLived...)
}
