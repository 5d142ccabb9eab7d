package frontends_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// The code in docs/frontends.md is that of this package and of the examples.
func TestDocs(t *testing.T) { testenv.CodeOf(t, "../../docs/frontends.md", "../../examples/*/*.go") }
