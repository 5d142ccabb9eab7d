package yieldsse_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	// What the documents speak of: a change there runs these tests again.
	_ "github.com/yieldsse/yieldsse/client"
	_ "github.com/yieldsse/yieldsse/echosse"
	_ "github.com/yieldsse/yieldsse/fibersse"
	_ "github.com/yieldsse/yieldsse/ginsse"
	_ "github.com/yieldsse/yieldsse/hub"
	_ "github.com/yieldsse/yieldsse/ssetest"
)

// The Go code in the documents compiles. This is how a block of it becomes a
// package:
//
//   - A block that begins with a package clause is a whole program.
//   - All other blocks of a document are one package. A block of declarations is
//     a file of it, and any other block is the body of a function of its own, in
//     which a variable may be left unused.
//   - Such blocks have no imports; the names of packages mean what imports says.
//   - An HTML comment that begins with "<!-- go" is a block that readers do not
//     see: it declares what the others need and do not say.
var imports = map[string]string{
	"context": "context",
	"errors":  "errors",
	"fmt":     "fmt",
	"http":    "net/http",
	"iter":    "iter",
	"log":     "log",
	"net":     "net",
	"os":      "os",
	"slog":    "log/slog",
	"strconv": "strconv",
	"syscall": "syscall",
	"testing": "testing",
	"time":    "time",

	"echo":  "github.com/labstack/echo/v4",
	"fiber": "github.com/gofiber/fiber/v2",
	"gin":   "github.com/gin-gonic/gin",
	"unix":  "golang.org/x/sys/unix",
	"utils": "github.com/gofiber/fiber/v2/utils",

	"jetstream": "github.com/nats-io/nats.go/jetstream",
	"nats":      "github.com/nats-io/nats.go",
	"redis":     "github.com/redis/go-redis/v9",

	"client":     module + "/client",
	"core":       module + "/core",
	"echosse":    module + "/echosse",
	"fibersse":   module + "/fibersse",
	"ginsse":     module + "/ginsse",
	"hub":        module + "/hub",
	"natslog":    module + "/hub/natslog", // in the workspace, as redislog is
	"nethttpsse": module + "/nethttpsse",
	"redislog":   module + "/hub/redislog",
	"ssetest":    module + "/ssetest",
}

const module = "github.com/yieldsse/yieldsse"

// documents returns the texts of the documents, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := fs.Glob(repository(t).FS(), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			docs[name] = read(t, name)
		}
	}
	return docs
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := repository(t).ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func repository(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func TestSnippetsCompile(t *testing.T) {
	for doc, text := range documents(t) {
		t.Run(doc, func(t *testing.T) {
			for _, err := range checkSnippets(t.Context(), doc, text) {
				t.Error(err)
			}
		})
	}
}

// A check that finds no fault proves nothing if it cannot find one.
func TestSnippetCheckFindsFaults(t *testing.T) {
	const fence = "```"
	tests := []struct{ name, markdown, want string }{
		{"a name that is not there", fence + "go\ncore.Evry(nil, 0)\n" + fence, "doc.md:2:6: undefined: core.Evry"},
		{"a wrong type", "text\n" + fence + "go\nvar e = core.Event{ID: 1}\n" + fence, "doc.md:3:24: cannot use 1"},
		{"a wrong type in a program", fence + "go\npackage main\n\nvar s string = 1\n" + fence, "doc.md:4:16: cannot use 1"},
		{"no Go", fence + "go\nfor {\n" + fence, "doc.md:"},
		{"not formatted", fence + "go\nx  := 1\n" + fence, "doc.md:2: not formatted"},
		{"declared twice", fence + "go\nvar x int\n" + fence + "\n<!-- go\nvar x int\n-->", "doc.md:5:5: x redeclared"},
		{"a block without an end", fence + "go\nvar x int\n", "doc.md:2: the block does not end"},
		{"a hidden block serves the others", "<!-- go\nvar x int\n-->\n" + fence + "go\ny := x\n" + fence, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fmt.Sprint(errors.Join(checkSnippets(t.Context(), "doc.md", tt.markdown)...))
			if tt.want == "" {
				tt.want = fmt.Sprint(error(nil))
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("faults: got %q, want %q …", got, tt.want)
			}
		})
	}
}

// A snippet is a block of Go in a document.
type snippet struct {
	line   int // its first
	code   string
	hidden bool
}

func checkSnippets(ctx context.Context, doc, markdown string) []error {
	snippets, err := snippetsOf(doc, markdown)
	if err != nil {
		return []error{err}
	}
	var (
		faults    []error
		fset      = token.NewFileSet()
		fragments []*ast.File
		programs  []*ast.File
	)
	for _, s := range snippets {
		if nice, err := format.Source([]byte(s.code)); err == nil && string(nice) != s.code && !s.hidden {
			faults = append(faults, fmt.Errorf("%s:%d: not formatted as gofmt does", doc, s.line))
		}
		source, program := s.file(doc)
		file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
		switch {
		case err != nil:
			faults = append(faults, err)
		case program:
			programs = append(programs, file)
		default:
			fragments = append(fragments, file)
		}
	}
	exports, err := exportsFor(ctx, append(fragments, programs...))
	if err != nil {
		return append(faults, err)
	}
	check := func(files []*ast.File, tolerant bool) {
		config := types.Config{
			Importer: importer.ForCompiler(fset, "gc", exports),
			Error: func(err error) {
				var fault types.Error
				if !tolerant || !errors.As(err, &fault) || !fault.Soft {
					faults = append(faults, err)
				}
			},
		}
		_, _ = config.Check("doc", fset, files, nil) // Error has them all
	}
	check(fragments, true)
	for _, program := range programs {
		check([]*ast.File{program}, false)
	}
	return faults
}

// snippetsOf finds the blocks of Go, hidden ones too.
func snippetsOf(doc, markdown string) ([]snippet, error) {
	var (
		all  []snippet
		end  string // what ends the block that is being read
		line int
	)
	lines := bufio.NewScanner(strings.NewReader(markdown))
	for lines.Scan() {
		line++
		text := lines.Text()
		switch {
		case end != "" && text == end:
			end = ""
		case end != "":
			all[len(all)-1].code += text + "\n"
		case text == "```go":
			end = "```"
			all = append(all, snippet{line: line + 1})
		case text == "<!-- go":
			end = "-->"
			all = append(all, snippet{line: line + 1, hidden: true})
		}
	}
	if end != "" {
		return nil, fmt.Errorf("%s:%d: the block does not end", doc, all[len(all)-1].line)
	}
	return all, lines.Err()
}

// file makes the source of a file, in which positions are the document's.
func (s snippet) file(doc string) (source string, program bool) {
	at := fmt.Sprintf("//line %s:%d:1\n", doc, s.line)
	if strings.HasPrefix(s.code, "package ") {
		return at + s.code, true
	}
	code := at + s.code
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0)
	if err != nil {
		code = "func _() {\n" + code + "\n}\n"
		file, err = parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0)
	}
	if err != nil {
		return "package p\n" + code, false // the caller tells
	}
	var head strings.Builder
	head.WriteString("package p\n")
	for _, name := range slices.Compact(unresolved(file)) {
		if path, ok := imports[name]; ok {
			fmt.Fprintf(&head, "import %s %q\n", name, path)
		}
	}
	return head.String() + code, false
}

// unresolved returns the names that the file does not declare, in order.
func unresolved(file *ast.File) []string {
	var names []string
	for _, ident := range file.Unresolved {
		names = append(names, ident.Name)
	}
	slices.Sort(names)
	return names
}

// exportsFor has go build what the files import, and returns where an importer
// finds it. The documents speak of Linux.
func exportsFor(ctx context.Context, files []*ast.File) (func(path string) (io.ReadCloser, error), error) {
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "--", "errors"}
	for _, file := range files {
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			args = append(args, name)
		}
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux")
	cmd.Stderr = new(strings.Builder)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, cmd.Stderr)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[name] = file
	}
	return func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	}, nil
}

// Links between the files of the repository lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)|(?:src|href)="([^"#]+)`)
	for doc, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := repository(t).Stat(path.Join(path.Dir(doc), target)); err != nil {
				t.Errorf("%s: link to %s: %v", doc, target, err)
			}
		}
	}
}

// No document has a placeholder left: a line of its own, in capitals, where text
// was to come.
func TestPlaceholders(t *testing.T) {
	left := regexp.MustCompile(`^\s*[A-Z][A-Z_]+\s*$`)
	for doc, text := range documents(t) {
		code := false
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			if !code && left.MatchString(line) {
				t.Errorf("%s:%d: %q is a placeholder", doc, i+1, line)
			}
		}
	}
}

// The tables of options have a row for each option that there is, and no other.
func TestOptionsTable(t *testing.T) {
	names := func(re, text string) []string {
		var all []string
		for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return all
	}
	for _, pkg := range []string{"client", "core", "hub"} {
		got := names("(?m)^\\| `"+pkg+"\\.(With\\w+)\\(", read(t, "README.md"))
		want := names(`(?m)^func (With\w+)\(.*\) Option \{$`, read(t, pkg+"/options.go"))
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("options of %s in README.md: got %q, want %q", pkg, got, want)
		}
	}
}
