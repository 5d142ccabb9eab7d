package testenv

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeBlock = regexp.MustCompile("(?s)```go\n(.*?)```")
	lineStart = regexp.MustCompile("(?m)^(.)")
)

// CodeOf fails the test if a block of Go in a document is not part of the tests in the
// working directory, where it may be indented.
func CodeOf(t testing.TB, document string) {
	t.Helper()
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range tests {
		text, err := os.ReadFile(name) //nolint:gosec // a test of the package
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	text, err := os.ReadFile(document) //nolint:gosec // the test names it
	if err != nil {
		t.Fatal(err)
	}
	blocks := codeBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Errorf("%s has no code", document)
	}
	for _, block := range blocks {
		indented := lineStart.ReplaceAllString(block[1], "\t$1")
		if !strings.Contains(code.String(), "\n"+block[1]) && !strings.Contains(code.String(), "\n"+indented) {
			t.Errorf("%s has code that is not in this package:\n%s", document, block[1])
		}
	}
}
