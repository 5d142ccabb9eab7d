package frontends_test

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// The code in docs/frontends.md is that of this package and of the examples.
func TestDocs(t *testing.T) { testenv.CodeOf(t, "../../docs/frontends.md", "../../examples/*/*.go") }

// The main.go of each example is as short as docs/frontends.md says.
func TestLines(t *testing.T) {
	for _, name := range []string{"aisdk", "openai", "anthropic", "mcp", "htmx", "datastar", "turbo"} {
		code, err := fs.ReadFile(os.DirFS("../../examples"), name+"/main.go")
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(code, []byte("\n")); n >= 100 {
			t.Errorf("examples/%s/main.go has %d lines, want fewer than 100", name, n)
		}
	}
}
