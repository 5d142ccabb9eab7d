package yieldsse_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Each example is a folder that can be copied, so some have the same files. A change of one is
// a change of all.
func TestExamplesHaveTheSameFiles(t *testing.T) {
	for name, examples := range map[string][]string{
		"style.css": {"aisdk", "anthropic", "auth", "datastar", "htmx", "mcp", "openai", "turbo"},
		"model.go":  {"anthropic", "openai"},
	} {
		var first []byte
		for i, example := range examples {
			text, err := os.ReadFile(filepath.Join("examples", example, name)) //nolint:gosec // it is here
			switch {
			case err != nil:
				t.Error(err)
			case i == 0:
				first = text
			case !bytes.Equal(text, first):
				t.Errorf("examples/%s/%s differs from that of examples/%s", example, name, examples[0])
			}
		}
	}
}

// The examples of docs/frontends.md are as short as it says.
func TestExamplesAreShort(t *testing.T) {
	const limit = 100 // lines, in main.go
	text, err := os.ReadFile("docs/frontends.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("`main.go` has fewer than %d lines", limit); !bytes.Contains(text, []byte(want)) {
		t.Errorf("docs/frontends.md does not say that each %s", want)
	}
	for _, name := range []string{"aisdk", "openai", "anthropic", "mcp", "htmx", "datastar", "turbo"} {
		code, err := os.ReadFile(filepath.Join("examples", name, "main.go")) //nolint:gosec // it is here
		if err != nil {
			t.Error(err)
		}
		if n := bytes.Count(code, []byte("\n")); n >= limit {
			t.Errorf("examples/%s/main.go has %d lines, want fewer than %d", name, n, limit)
		}
	}
}
