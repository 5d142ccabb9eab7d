package testenv_test

import (
	"os"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestCodeOf(t *testing.T) {
	t.Chdir(t.TempDir())
	const code = "package a_test\n\nfunc f() {\n\tfor {\n\t\tf()\n\t}\n}\n"
	if err := os.WriteFile("a_test.go", []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("b", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("b/b.go", []byte("package b\n\nfunc i() {\n\tj()\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, page, want string }{
		{"the same", "```go\nfunc f() {\n\tfor {\n```\n", ""},
		{"indented in the tests", "text\n```go\nfor {\n\tf()\n}\n```\n", ""},
		{"missing", "```go\nfor {\n```\n```go\ng()\n```\n", "page.md has code that is not in this package:\ng()\n"},
		{"part of a line", "```go\n{\n```\n", "page.md has code that is not in this package:\n{\n"},
		{"in a program", "```go\nfunc i() {\n\tj()\n}\n```\n", ""},
		{"another in a program", "```go\nfunc f() {\n```\n```go\nfunc i() {\n\tf()\n```\n", "page.md and b differ in func i():\nfunc i() {\n\tf()\n\n" +
			"page.md has code that is not in this package:\nfunc i() {\n\tf()\n"},
		{"no code", "```sh\nf\n```\n", "page.md has no code"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile("page.md", []byte(test.page), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := hosttest.Failed(t, func(t testing.TB) { testenv.CodeOf(t, "page.md", "b/*.go") }); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
