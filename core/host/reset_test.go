package host_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core/host"
)

// Linger drops what a client still sends, but not for long.
func TestLinger(t *testing.T) {
	for name, tt := range map[string]struct {
		says string
		ends bool // by closing
		want time.Duration
	}{
		"says nothing":             {"", false, 500 * time.Millisecond},
		"talks":                    {"words", false, 500 * time.Millisecond},
		"talks and leaves":         {"words", true, 0},
		"talks more than is read":  {strings.Repeat("x", host.MaxBody), false, 500 * time.Millisecond},
		"talks forever and leaves": {strings.Repeat("x", host.MaxBody+1), true, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer server.Close()
				go func() {
					_, _ = io.WriteString(client, tt.says)
					if tt.ends {
						_ = client.Close()
					}
				}()
				begin := time.Now()
				host.Linger(server)
				if got := time.Since(begin); got != tt.want {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}
