package yieldsse_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

const version = "v0.98.7" // of the release that the test makes

// What .ci/release makes of the working tree is what users can build with.
func TestRelease(t *testing.T) {
	repo := clone(t)

	refused := func(version, want string) {
		t.Helper()
		if out, err := run(repo, "./.ci/release", version); err == nil || !strings.Contains(out, want) {
			t.Errorf("a release %q: got %v and the output %q, want an error and %q", version, err, out, want)
		}
	}
	for _, version := range []string{"", "0.98.7", "v0.98", "v0.98.7+1", "v0.98.07", "v2.0.0"} {
		refused(version, "the version is")
	}
	refused(version, "CHANGELOG.md has no section")
	changelog := filepath.Join(repo, "CHANGELOG.md")
	text, err := os.ReadFile(changelog) //nolint:gosec // it is in the clone
	if err != nil {
		t.Fatal(err)
	}
	write(t, changelog, strings.Replace(string(text), "## [Unreleased]", "## [Unreleased]\n\n## [0.98.7] - 2026-01-02", 1))
	refused(version, "the working tree has changes")
	must(t, repo, "git", "commit", "--quiet", "--all", "--message", "the changelog")
	must(t, repo, "git", "switch", "--quiet", "--create", "other")
	refused(version, "made on main")
	must(t, repo, "git", "switch", "--quiet", "main")

	out := must(t, repo, "./.ci/release", version)
	if want := "git push --atomic origin main " + version; !strings.Contains(out, want) {
		t.Errorf("got the output %q, want %q in it", out, want)
	}
	_, push, _ := strings.Cut(out, "git push ")
	refused(version, "there is a tag")

	var published []string // the directories of modules
	for file := range strings.FieldsSeq(must(t, repo, "git", "ls-files", "*go.mod")) {
		switch dir := filepath.ToSlash(filepath.Dir(file)); strings.Split(dir, "/")[0] {
		case "bench", "e2e", "examples":
			checkModule(t, repo, file, true)
		default:
			published = append(published, dir)
			checkModule(t, repo, file, false)
			tag := strings.TrimPrefix(dir+"/"+version, "./")
			if !slices.Contains(strings.Fields(push), tag) {
				t.Errorf("got %q to push, want %s as well", push, tag)
			}
			if got, want := must(t, repo, "git", "rev-parse", tag+"^{commit}"), must(t, repo, "git", "rev-parse", "main~"); got != want {
				t.Errorf("tag %s: got commit %q, want %q", tag, got, want)
			}
		}
	}
	if got := must(t, repo, "git", "diff", "--name-only", "main~2", "main", "--", ".", ":!*go.mod"); got != "" {
		t.Errorf("got %q changed after the release, want only versions in go.mod", got)
	}
	checkUsers(t, repo, published)
}

// checkModule checks a go.mod at the release, where it may replace a module or not,
// and after it.
func checkModule(t *testing.T, repo, file string, replaces bool) {
	t.Helper()
	requirement := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(module) + `\S* (v\S+)`)
	for commit, replaces := range map[string]bool{version: replaces, "main": true} {
		if file == "go.mod" {
			replaces = false // the root requires no other module
		}
		text := must(t, repo, "git", "show", commit+":"+file)
		if got := strings.Contains(text, "\nreplace "); got != replaces {
			t.Errorf("%s of %s replaces a module: got %t, want %t", file, commit, got, replaces)
		}
		found := requirement.FindAllStringSubmatch(text, -1)
		if len(found) == 0 && file != "go.mod" {
			t.Errorf("%s of %s does not require %s", file, commit, module)
		}
		for _, got := range found {
			if strings.Contains(got[0], module+"/e2e ") {
				continue // it is not released, so it is replaced and has no version
			}
			if got[1] != version {
				t.Errorf("%s of %s has %q, want version %s", file, commit, got[0], version)
			}
		}
	}
}

// checkUsers builds what users of the published modules would, from the tags and
// through a proxy.
func checkUsers(t *testing.T, repo string, published []string) {
	t.Helper()
	cache := strings.TrimSpace(must(t, ".", "go", "env", "GOMODCACHE"))
	public := strings.TrimSpace(must(t, ".", "go", "env", "GOPROXY"))

	// The test can remove its cache of modules, and next time finds what it built of
	// them in the cache of builds. The database of sums does not know this release.
	t.Setenv("GOFLAGS", "-modcacherw -trimpath")
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOWORK", "off")
	proxy := t.TempDir()
	t.Setenv("GOMODCACHE", proxy)
	t.Setenv("GOPROXY", "direct")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "url.file://"+repo+".insteadOf")
	t.Setenv("GIT_CONFIG_VALUE_0", "https://"+module)
	for _, dir := range published {
		must(t, proxy, "go", "mod", "download", path.Join(module, dir)+"@"+version)
	}

	// What others published comes from the machine's own cache, if it is there.
	t.Setenv("GIT_CONFIG_COUNT", "0")
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GOPROXY", fmt.Sprintf("file://%s/cache/download,file://%s/cache/download,%s", proxy, cache, public))
	t.Setenv("GOBIN", t.TempDir())
	user := t.TempDir()
	program := "package main\n\n"
	get := []string{"get"}
	for _, dir := range published {
		name := path.Join(module, dir)
		if path.Dir(dir) != "cmd" {
			program += fmt.Sprintf("import _ %q\n", name)
			get = append(get, name+"@"+version)
		}
	}
	write(t, filepath.Join(user, "main.go"), program+"\nfunc main() {}\n")
	must(t, user, "go", "mod", "init", "example.com/user")
	must(t, user, "go", get...)
	must(t, user, "go", "build", "-o", os.DevNull, ".")

	must(t, user, "go", "install", module+"/cmd/yieldsse@"+version)
	out := must(t, user, filepath.Join(os.Getenv("GOBIN"), "yieldsse"), "-version")
	if want := "yieldsse version " + version + "\n"; out != want {
		t.Errorf("got the output %q, want %q", out, want)
	}

	// The sums in go.sum are for those who build a module from its tag.
	must(t, repo, "git", "switch", "--quiet", "--detach", version)
	for _, dir := range published {
		if dir != "." { // which requires none of the others
			must(t, filepath.Join(repo, dir), "go", "list", "-deps", "./...")
		}
	}
}

// clone returns the directory of a repository whose branch main has one commit, the
// working tree as it is.
func clone(t *testing.T) string {
	t.Helper()
	testenv.Program(t, "git")
	testenv.Program(t, "bash")
	// A test runs again only if what it looked at itself has changed.
	if _, err := os.Stat(".ci/release"); err != nil {
		t.Fatal(err)
	}

	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, name := range []string{"GIT_AUTHOR", "GIT_COMMITTER"} {
		t.Setenv(name+"_NAME", "Tester")
		t.Setenv(name+"_EMAIL", "tester@example.com")
	}
	repo := t.TempDir()
	must(t, repo, "git", "init", "--quiet", "--initial-branch=main")
	dir := "--git-dir=" + filepath.Join(repo, ".git")
	must(t, ".", "git", dir, "--work-tree=.", "add", ".")
	must(t, repo, "git", "commit", "--quiet", "--message", "the working tree")
	must(t, repo, "git", "reset", "--quiet", "--hard")
	return repo
}

// run runs a program in a directory and returns all that it printed.
func run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...) //nolint:gosec,noctx // the test names it, and it ends with the test
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is run, for what must succeed.
func must(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := run(dir, name, args...)
	if err != nil {
		t.Fatalf("%s %q in %s: %v\n%s", name, args, dir, err, out)
	}
	return out
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil { //nolint:gosec // the test names it
		t.Fatal(err)
	}
}
