package proxies_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.AtOnce(6) // they wait for most of their time
	testenv.Main(m)
}
