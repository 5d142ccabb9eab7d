package frontends_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// The code in docs/frontends.md is part of this package's.
func TestDocs(t *testing.T) { testenv.CodeOf(t, "../../docs/frontends.md") }
