package main

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

func TestStream(t *testing.T) { hosttest.Ticker(t, hosttest.Serve(t, router())) }
