package frontends_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The code in docs/frontends.md is part of this package's.
func TestDocs(t *testing.T) {
	const page = "docs/frontends.md"
	repository := os.DirFS("../..")
	names, err := fs.Glob(repository, "e2e/frontends/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range names {
		text, err := fs.ReadFile(repository, name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	text, err := fs.ReadFile(repository, page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Errorf("%s has no code", page)
	}
	for _, block := range blocks {
		indented := regexp.MustCompile("(?m)^(.)").ReplaceAllString(block[1], "\t$1")
		if !strings.Contains(code.String(), "\n"+block[1]) && !strings.Contains(code.String(), "\n"+indented) {
			t.Errorf("%s has code that is not in this package:\n%s", page, block[1])
		}
	}
}
