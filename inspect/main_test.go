package inspect_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
