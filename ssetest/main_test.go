package ssetest_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) { ssetest.Main(m) }
