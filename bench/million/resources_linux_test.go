package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	enough := resources{memory: 24 << 30, files: 3_000_000, ports: 28_000, watches: 3_000_000}
	if err := enough.check(1_000_000, 1_000_000); err != nil {
		t.Errorf("enough of everything: %v", err)
	}
	for _, tt := range []struct {
		want string // part of the error
		less func(*resources)
	}{
		{"available: stop other programs, or use fewer -conns", func(r *resources) { r.memory = 13 << 30 }},
		{"raise fs.file-max", func(r *resources) { r.files = 2_000_000 }},
		{"raise fs.epoll.max_user_watches", func(r *resources) { r.watches = 1_000_000 }},
		{"widen net.ipv4.ip_local_port_range", func(r *resources) { r.ports = 9_999 }},
	} {
		r := enough
		tt.less(&r)
		if err := r.check(1_000_000, 1_000_000); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
	if err := (resources{memory: 24 << 30, files: 3_000_000, ports: 200, watches: 3_000_000}).check(1_000_000, 20_000); err != nil {
		t.Errorf("few ports, but enough for each server: %v", err)
	}
}
