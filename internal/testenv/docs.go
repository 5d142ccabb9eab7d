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
	function  = regexp.MustCompile(`(?m)^func \w+\(`)
)

// CodeOf fails the test if a block of Go in a document is not part of the tests in the
// working directory, where it may be indented, or of a program. The patterns name the files
// of programs, as in [filepath.Glob]. If the tests or a program have a function of the same
// name as the block, they must have the block.
func CodeOf(t testing.TB, document string, patterns ...string) {
	t.Helper()
	programs := make(map[string]string) // their code, by their directory
	for _, pattern := range append(patterns, "*_test.go") {
		for dir, code := range codeIn(t, pattern) {
			programs[dir] += code
		}
	}
	text, err := os.ReadFile(document) //nolint:gosec // the test names it
	if err != nil {
		t.Fatal(err)
	}
	blocks := codeBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Errorf("%s has no code", document)
	}
	for _, match := range blocks {
		block := match[1]
		found := strings.Contains(programs["."], "\n"+lineStart.ReplaceAllString(block, "\t$1"))
		for dir, code := range programs {
			if strings.Contains(code, "\n"+block) {
				found = true
				continue
			}
			for _, f := range function.FindAllString(block, -1) {
				if strings.Contains(code, "\n"+f) {
					t.Errorf("%s and %s differ in %s):\n%s", document, dir, f, block)
				}
			}
		}
		if !found {
			t.Errorf("%s has code that is not in this package:\n%s", document, block)
		}
	}
}

// codeIn returns the code of the files that a pattern matches, by their directory.
func codeIn(t testing.TB, pattern string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	code := make(map[string]string)
	for _, name := range names {
		text, err := os.ReadFile(name) //nolint:gosec // the test names it
		if err != nil {
			t.Fatal(err)
		}
		code[filepath.Dir(name)] += string(text)
	}
	return code
}
