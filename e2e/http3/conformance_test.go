package http3_test

import (
	"flag"
	"testing"

	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

func TestConformance(t *testing.T) {
	// There is no connection to take, so a detached session stays in its handler.
	mounts := []adaptertest.Mount{mount("nethttp").Detached()}
	for host := range hosts {
		mounts = append(mounts, mount(host))
	}
	adaptertest.Conformance(t, mounts...)
}

// The programs are fewer than for other protocols, because each has a handshake of its own.
func TestDifferential(t *testing.T) {
	if runs := flag.Lookup("adaptertest.runs"); runs.Value.String() == "0" {
		_ = runs.Value.Set("300")
	}
	for host := range hosts {
		t.Run(host, func(t *testing.T) { adaptertest.Differential(t, mount(host)) })
	}
}
