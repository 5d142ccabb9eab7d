package ginsse_test

import (
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.ParallelChecks()
	gin.SetMode(gin.ReleaseMode)
	ssetest.Main(m)
}
