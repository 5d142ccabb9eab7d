package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestLongFlags(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"one dash", "tail -json URL", "tail --json URL"},
		{"with a value", "tail -last-event-id 4 -no-reconnect URL", "tail --last-event-id 4 --no-reconnect URL"},
		{"with =", "tail -types=a,b URL", "tail --types=a,b URL"},
		{"two dashes", "tail --json --types a URL", "tail --json --types a URL"},
		{"short ones", "tail -n 5 -n5 -v URL", "tail -n 5 -n5 -v URL"},
		{"short ones in one", "tail -kvn 5 -json URL", "tail -kvn 5 --json URL"},
		{"the value of a short one", "tail -d -json -json URL", "tail -d -json --json URL"},
		{"the value after a cluster", "tail -kd -json -json URL", "tail -kd -json --json URL"},
		{"the value in a cluster", "tail -kdx -json URL", "tail -kdx --json URL"},
		{"the value of a long one", "tail --data -json -json URL", "tail --data -json --json URL"},
		{"after the end of flags", "tail -json -- -json", "tail --json -- -json"},
		{"bench", "bench URL -conns 5 -for 3s", "bench URL --conns 5 --for 3s"},
		{"help", "bench -help", "bench --help"},
		{"a dash", "tail -d - URL", "tail -d - URL"},
		{"no command", "-version", "--version"},
		{"one letter with a value", "bench -c=5 URL", "bench -c=5 URL"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newRoot(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
			got, err := longFlags(root, strings.Fields(c.args))
			if want := strings.Fields(c.want); err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q and error %v, want %q", got, err, want)
			}
		})
	}
}
