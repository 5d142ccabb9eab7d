package yieldsse_test

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	godoc "go/doc"
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
	_ "github.com/yieldsse/yieldsse/inspect"
	_ "github.com/yieldsse/yieldsse/presence"
	_ "github.com/yieldsse/yieldsse/run"
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
	"atomic":   "sync/atomic",
	"context":  "context",
	"errors":   "errors",
	"expvar":   "expvar",
	"flag":     "flag",
	"fmt":      "fmt",
	"http":     "net/http",
	"iter":     "iter",
	"json":     "encoding/json",
	"log":      "log",
	"maps":     "maps",
	"net":      "net",
	"os":       "os",
	"signal":   "os/signal",
	"slog":     "log/slog",
	"strconv":  "strconv",
	"sync":     "sync",
	"syscall":  "syscall",
	"synctest": "testing/synctest",
	"testing":  "testing",
	"time":     "time",
	"tls":      "crypto/tls",

	"echo":    "github.com/labstack/echo/v4",
	"adaptor": "github.com/gofiber/fiber/v2/middleware/adaptor",
	"fiber":   "github.com/gofiber/fiber/v2",
	"gin":     "github.com/gin-gonic/gin",
	"unix":    "golang.org/x/sys/unix",
	"utils":   "github.com/gofiber/fiber/v2/utils",

	"http3":      "github.com/quic-go/quic-go/http3", // in the workspace
	"huma":       "github.com/danielgtaylor/huma/v2",
	"attribute":  "go.opentelemetry.io/otel/attribute",
	"jsonschema": "github.com/google/jsonschema-go/jsonschema",
	"openapi3":   "github.com/getkin/kin-openapi/openapi3",
	"quic":       "github.com/quic-go/quic-go",
	"trace":      "go.opentelemetry.io/otel/trace",

	"jetstream": "github.com/nats-io/nats.go/jetstream",
	"nats":      "github.com/nats-io/nats.go",
	"redis":     "github.com/redis/go-redis/v9",

	"client":     module + "/client",
	"core":       module + "/core",
	"host":       module + "/core/host",
	"echosse":    module + "/echosse",
	"fibersse":   module + "/fibersse",
	"ginsse":     module + "/ginsse",
	"hub":        module + "/hub",
	"inspect":    module + "/inspect",
	"natslog":    module + "/hub/natslog", // in the workspace, as redislog is
	"nethttpsse": module + "/nethttpsse",
	"openapisse": module + "/openapisse",
	"otelsse":    module + "/otelsse",
	"presence":   module + "/presence",
	"redislog":   module + "/hub/redislog",
	"run":        module + "/run",
	"ssetest":    module + "/ssetest",
}

const module = "github.com/yieldsse/yieldsse"

// documents returns the texts of all documents of the repository, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, name := range files(t, ".md") {
		docs[name] = read(t, name)
	}
	return docs
}

// files returns the paths of the repository's files whose names end with suffix.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(repository(t).FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (base == "node_modules" || base == "testdata" || strings.HasPrefix(base, ".") && name != "."):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(name, suffix):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
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
	pages := map[string]*page{}
	for doc, text := range documents(t) {
		if doc != "docs/frameworks.md" && doc != "docs/frontends.md" { // e2e/frameworks and e2e/frontends have their code, and tests that they do
			pages[doc] = parse(doc, text)
		}
	}
	exports := exportsFor(t, pages)
	for doc, p := range pages {
		t.Run(doc, func(t *testing.T) {
			t.Parallel()
			for _, err := range p.check(exports) {
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
	pages := map[string]*page{}
	for _, tt := range tests {
		pages[tt.name] = parse("doc.md", tt.markdown)
	}
	exports := exportsFor(t, pages)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fmt.Sprint(errors.Join(pages[tt.name].check(exports)...))
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

// A page has the code of a document.
type page struct {
	fset      *token.FileSet
	fragments []*ast.File // of one package
	programs  []*ast.File // each of its own
	faults    []error     // of those that cannot be parsed
}

// lookup finds what the compiler has exported from a package.
type lookup = func(path string) (io.ReadCloser, error)

func parse(doc, markdown string) *page {
	p := &page{fset: token.NewFileSet()}
	snippets, err := snippetsOf(doc, markdown)
	if err != nil {
		p.faults = append(p.faults, err)
		return p
	}
	for _, s := range snippets {
		if nice, err := format.Source([]byte(s.code)); err == nil && string(nice) != s.code && !s.hidden {
			p.faults = append(p.faults, fmt.Errorf("%s:%d: not formatted as gofmt does", doc, s.line))
		}
		source, program := s.file(doc)
		file, err := parser.ParseFile(p.fset, "", source, parser.SkipObjectResolution)
		switch {
		case err != nil:
			p.faults = append(p.faults, err)
		case program:
			p.programs = append(p.programs, file)
		default:
			p.fragments = append(p.fragments, file)
		}
	}
	return p
}

// check returns the page's faults, with those that a compiler finds.
func (p *page) check(exports lookup) []error {
	faults := slices.Clone(p.faults)
	check := func(files []*ast.File, tolerant bool) {
		config := types.Config{
			Importer: importer.ForCompiler(p.fset, "gc", exports),
			Error: func(err error) {
				var fault types.Error
				if !tolerant || !errors.As(err, &fault) || !fault.Soft {
					faults = append(faults, err)
				}
			},
		}
		_, _ = config.Check("doc", p.fset, files, nil) // Error has them all
	}
	check(p.fragments, true)
	for _, program := range p.programs {
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

// exportsFor has go build what all pages import, once. The documents speak of Linux.
func exportsFor(t *testing.T, pages map[string]*page) lookup {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "--", "errors"}
	for _, p := range pages {
		for _, file := range slices.Concat(p.fragments, p.programs) {
			for _, spec := range file.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				args = append(args, name)
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux")
	cmd.Stderr = new(strings.Builder)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, cmd.Stderr)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[name] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
}

// Links between the files of the repository lead somewhere, and so do those to a
// heading.
func TestLinks(t *testing.T) {
	docs := documents(t)
	for doc, text := range docs {
		for _, fault := range brokenLinks(doc, text, docs, func(name string) error {
			_, err := repository(t).Stat(name)
			return err
		}) {
			t.Error(fault)
		}
	}
}

func TestLinkCheckFindsFaults(t *testing.T) {
	docs := map[string]string{"docs/a.md": "# One's `x.y`\n\n```sh\n# no heading\n```\n\n## Two, three\n"}
	stat := func(name string) error {
		if docs[name] == "" {
			return fs.ErrNotExist
		}
		return nil
	}
	tests := []struct{ link, want string }{
		{"[a](docs/a.md)", ""},
		{"[a](docs/a.md#ones-xy)", ""},
		{"[a](docs/a.md#two-three)", ""},
		{`<img src="docs/a.md">`, ""},
		{"[a](https://example.com/b.md#c)", ""},
		{"[a](#here)", "README.md: link to #here: README.md has no such heading"},
		{"[a](docs/b.md)", "README.md: link to docs/b.md: file does not exist"},
		{`<img src="docs/b.svg">`, "README.md: link to docs/b.svg: file does not exist"},
		{"[a](docs/a.md#no-heading)", "README.md: link to docs/a.md#no-heading: docs/a.md has no such heading"},
	}
	for _, tt := range tests {
		got := ""
		if err := errors.Join(brokenLinks("README.md", tt.link, docs, stat)...); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("faults of %s: got %q, want %q", tt.link, got, tt.want)
		}
	}
}

var linkTarget = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)|(?:src|srcset|href)="([^"]+)`)

func brokenLinks(doc, text string, docs map[string]string, stat func(name string) error) []error {
	var faults []error
	for _, m := range linkTarget.FindAllStringSubmatch(strings.Join(prose(text), "\n"), -1) {
		link := m[1] + m[2]
		if strings.Contains(link, "://") {
			continue
		}
		target, heading, hasHeading := strings.Cut(link, "#")
		name := doc
		if target != "" {
			name = path.Join(path.Dir(doc), target)
			if err := stat(name); err != nil {
				faults = append(faults, fmt.Errorf("%s: link to %s: %w", doc, link, err))
				continue
			}
		}
		if hasHeading && !slices.Contains(headings(docs[name]), heading) {
			faults = append(faults, fmt.Errorf("%s: link to %s: %s has no such heading", doc, link, name))
		}
	}
	return faults
}

// headings returns the names by which links lead to the headings of a document.
func headings(text string) []string {
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	var names []string
	for _, line := range prose(text) {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			name := dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			names = append(names, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return names
}

// prose returns the lines of a document, with those of its blocks of code empty.
func prose(text string) []string {
	lines := strings.Split(text, "\n")
	code := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			code = !code
		}
		if code || fence {
			lines[i] = ""
		}
	}
	return lines
}

// No document has a placeholder left: a line of its own, in capitals, where text
// was to come.
func TestPlaceholders(t *testing.T) {
	left := regexp.MustCompile(`^\s*[A-Z][A-Z_]+\s*$`)
	for doc, text := range documents(t) {
		for i, line := range prose(text) {
			if left.MatchString(line) {
				t.Errorf("%s:%d: %q is a placeholder", doc, i+1, line)
			}
		}
	}
}

// The tables of options have a row for each option that there is, and no other.
func TestOptionsTables(t *testing.T) {
	for pkg, doc := range map[string]string{
		"core":         "docs/options.md",
		"hub":          "docs/hub.md",
		"client":       "docs/reading.md",
		"presence":     "docs/presence.md",
		"hub/redislog": "docs/cluster.md",
		"hub/natslog":  "docs/cluster.md",
	} {
		got := matches("(?m)^\\| `"+path.Base(pkg)+"\\.(With\\w+)\\(", read(t, doc))
		want := matches(`(?m)^func (With\w+)\(.*\) Option \{$`, read(t, pkg+"/options.go"))
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("options of %s in %s: got %q, want %q", pkg, doc, got, want)
		}
	}
}

// matches returns what the group of re matches, in order of the alphabet.
func matches(re, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return all
}

// The README is short, because the rest has pages of its own, and the index of
// these pages has all of them.
func TestFrontPages(t *testing.T) {
	const most = 200
	if n := strings.Count(read(t, "README.md"), "\n"); n > most {
		t.Errorf("README.md has %d lines: move some to a page in docs, so that it has %d or fewer", n, most)
	}
	got := matches(`\]\((\w+\.md)\)`, read(t, "docs/README.md"))
	var want []string
	for _, name := range files(t, ".md") {
		if page := path.Base(name); path.Dir(name) == "docs" && page != "README.md" {
			want = append(want, page)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages in docs/README.md: got %q, want %q", got, want)
	}
}

// The README and the package documentation at the top name each package and command
// that is there for users.
func TestPackagesAreNamed(t *testing.T) {
	readme, doc := read(t, "README.md"), read(t, "doc.go")
	for _, dir := range packages(t) {
		if !strings.Contains(readme, "]("+dir+")") {
			t.Errorf("README.md has no link to the package %s: add it to the table", dir)
		}
		if !strings.Contains(doc, "["+module+"/"+dir+"]") {
			t.Errorf("doc.go has no link to the package %s: add it to the list", dir)
		}
	}
}

// packages returns the directories of the packages and commands that are there for users.
func packages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, name := range files(t, ".go") {
		dir := path.Dir(name)
		top, _, _ := strings.Cut(dir, "/")
		if dir == "." || strings.HasSuffix(name, "_test.go") || strings.Contains("/"+dir+"/", "/internal/") ||
			slices.Contains([]string{"bench", "e2e", "examples"}, top) {
			continue
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		t.Fatal("found no package")
	}
	return slices.Compact(dirs)
}

// Each package has an Example that runs, and the adapters and the logs have one for each
// of the questions that everybody asks. pkg.go.dev shows each as a whole program, because it
// uses nothing of other test files.
func TestExamples(t *testing.T) {
	for _, dir := range packages(t) {
		if strings.HasPrefix(dir, "cmd/") {
			continue
		}
		for _, fault := range missingExamples(dir, read(t, dir+"/example_test.go")) {
			t.Error(fault)
		}
	}
}

func TestExamplesCheckFindsFaults(t *testing.T) {
	const runs = "package p_test\n\nfunc Example() {\n\t// Output:\n}\n"
	four := runs
	for _, name := range []string{"errors", "resuming", "shutdown"} {
		four += "\nfunc Example_" + name + "() {\n\t// Output:\n}\n"
	}
	tests := []struct{ name, dir, source, want string }{
		{"one that runs", "hub", runs, ""},
		{"none", "hub", "package p_test\n", "hub/example_test.go: no Example has an Output"},
		{"one that does not run", "hub", "package p_test\n\nfunc Example() {}\n", "hub/example_test.go: no Example has an Output"},
		{"an adapter", "ginsse", four, ""},
		{"a log", "hub/redislog", four, ""},
		{"an adapter with one", "ginsse", runs, "ginsse/example_test.go: Example_errors is missing, or has no Output"},
		{"a log with one", "hub/redislog", runs, "hub/redislog/example_test.go: Example_errors is missing, or has no Output"},
		{
			"one that uses another file", "hub", "package p_test\n\nfunc Example() {\n\tf()\n\t// Output:\n}\n",
			"hub/example_test.go: Example uses something of another test file",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if faults := missingExamples(tt.dir, tt.source); len(faults) > 0 {
				got = faults[0].Error()
			}
			if (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) {
				t.Errorf("first fault: got %q, want %q", got, tt.want)
			}
		})
	}
}

func missingExamples(dir, source string) []error {
	name := dir + "/example_test.go"
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
	if err != nil {
		return []error{err}
	}
	var faults []error
	run := map[string]bool{}
	for _, e := range godoc.Examples(file) {
		if e.Output != "" || e.EmptyOutput {
			run["Example"+e.Name] = true
		}
		if e.Play == nil {
			faults = append(faults, fmt.Errorf("%s: Example%s uses something of another test file", name, e.Name))
		}
	}
	if dir != "openapisse" && dir != "otelsse" && strings.HasSuffix(dir, "sse") || strings.HasSuffix(dir, "log") {
		for _, want := range []string{"Example", "Example_errors", "Example_resuming", "Example_shutdown"} {
			if !run[want] {
				faults = append(faults, fmt.Errorf("%s: %s is missing, or has no Output", name, want))
			}
		}
	}
	if len(run) == 0 {
		faults = append(faults, fmt.Errorf("%s: no Example has an Output", name))
	}
	return faults
}

// What only reads streams, or only publishes, does not link what carries a stream to a
// client.
func TestSessionsAreNotLinked(t *testing.T) {
	const sessions = module + "/core/host"
	links := map[string]bool{
		"core": false, "client": false, "cmd/yieldsse": false, "hub": false, "hub/redislog": false, "hub/natslog": false,
		"openapisse": false, "otelsse": false, "presence": false, "run": false,
		"nethttpsse": true, // or this test would prove nothing
	}
	args := []string{"list", "-f", `{{.ImportPath}} {{join .Deps " "}}`}
	for pkg := range links {
		args = append(args, module+"/"+pkg)
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		deps := strings.Fields(line)
		pkg := strings.TrimPrefix(deps[0], module+"/")
		if got, want := slices.Contains(deps, sessions), links[pkg]; got != want {
			t.Errorf("%s links %s: got %v, want %v", pkg, sessions, got, want)
		}
		delete(links, pkg)
	}
	for pkg := range links {
		t.Errorf("go list does not know %s", pkg)
	}
}

// The README's numbers are those of the tables that they link to.
func TestNumbers(t *testing.T) {
	const nonbreaking = "\u00a0"
	performance := strings.ReplaceAll(read(t, "docs/performance.md"), nonbreaking, " ")
	rows := regexp.MustCompile(`(?m)^\| \[.*\]\(docs/performance\.md#(.*)\) \| (.*) \| (.*) \|$`).FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(rows) == 0 {
		t.Fatal("README.md has no row with numbers and a link to docs/performance.md")
	}
	for _, row := range rows {
		table := section(performance, row[1])
		for side, number := range map[string]string{"yieldsse hub, detached": row[2], "tutorial hub": row[3]} {
			if want := "| " + side + " | " + number + " |"; !strings.Contains(table, want) {
				t.Errorf("docs/performance.md, #%s: no row begins with %q, as README.md says", row[1], want)
			}
		}
	}
}

// section returns the part of a document that is below a heading.
func section(text, heading string) string {
	_, text, _ = strings.Cut(text, "\n")
	for _, part := range regexp.MustCompile(`(?m)^#+ `).Split(text, -1) {
		if slices.Equal(headings("# " + part)[:1], []string{heading}) {
			return part
		}
	}
	return ""
}
