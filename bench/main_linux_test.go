package bench_test

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

func TestMain(m *testing.M) {
	process.Main(server.Serve)
	os.Exit(m.Run())
}

// start runs a server for as long as tb lasts.
func start(tb testing.TB, name string) *process.Process {
	tb.Helper()
	p, err := process.Start(name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// setting reads a whole number from the environment.
func setting(tb testing.TB, name string, otherwise int) int {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("%s is %q: want a whole number above zero", name, text)
	}
	return n
}

// rounds runs round as often as -benchtime=Nx says, or for the time that it says
// and a few times at the least.
func rounds(b *testing.B, least int, round func()) {
	b.Helper()
	if strings.HasSuffix(flag.Lookup("test.benchtime").Value.String(), "x") {
		least = 1
	}
	done := 0
	for ; b.Loop(); done++ {
		round()
	}
	for ; done < least; done++ {
		round()
	}
	b.ReportMetric(0, "ns/op") // the time of a round says nothing
}

// verdict compares a ratio with its limit.
func verdict(ratio, limit float64) string {
	if ratio <= limit {
		return "met"
	}
	return "MISSED"
}
