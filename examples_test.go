package yieldsse_test

import (
	"bytes"
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
