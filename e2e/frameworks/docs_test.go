package frameworks_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// The code in docs/frameworks.md is part of this package's.
func TestDocs(t *testing.T) { testenv.CodeOf(t, "../../docs/frameworks.md") }
