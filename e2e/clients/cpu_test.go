package clients_test

import (
	"os"
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	os.Exit(m.Run())
}
