package yieldsse_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each test that SECURITY.md names is in the file, and the package, that it says.
func TestSecurityNamesTests(t *testing.T) {
	if faults := missingTests(read(t, "SECURITY.md"), files(t, "_test.go"), func(name string) string { return read(t, name) }); len(faults) > 0 {
		t.Error("SECURITY.md:\n" + strings.Join(faults, "\n"))
	}
}

func TestSecurityCheckFindsFaults(t *testing.T) {
	sources := map[string]string{"core/a_test.go": "package core_test\n\nfunc TestA(t *testing.T) {\n}\n", "b_test.go": "package b_test\n\nfunc TestB(t *testing.T) {\n}\n"}
	names := []string{"core/a_test.go", "b_test.go"}
	for text, want := range map[string]string{
		"[core.TestA](core/a_test.go) and [TestB](b_test.go)": "",
		"[core.TestB](core/a_test.go)":                        "core/a_test.go has no TestB",
		"[core.Test](core/a_test.go)":                         "core/a_test.go has no Test",
		"[hub.TestA](core/a_test.go)":                         "core/a_test.go is not in hub",
		"[TestA](core/a_test.go)":                             "core/a_test.go is not in the root",
		"[core.TestA](core/c_test.go)":                        "core/c_test.go has no TestA",
		"[TestB](b_test.go) and TestA":                        "TestA has no link",
		"nothing":                                             "no test is named",
	} {
		if got := strings.Join(missingTests(text, names, func(name string) string { return sources[name] }), "\n"); got != want {
			t.Errorf("faults of %s: got %q, want %q", text, got, want)
		}
	}
}

var testLink = regexp.MustCompile(`\[(?:([\w/]+)\.)?(Test\w*)\]\(([^)\s]+)\)`)

// missingTests returns what is wrong with the links to tests in a document at the top.
func missingTests(text string, names []string, source func(name string) string) []string {
	var faults []string
	links := testLink.FindAllStringSubmatch(text, -1)
	for _, link := range links {
		dir, test, name := link[1], link[2], link[3]
		switch {
		case !slices.Contains(names, name) || !strings.Contains(source(name), "\nfunc "+test+"(t *testing.T) {"):
			faults = append(faults, fmt.Sprintf("%s has no %s", name, test))
		case path.Dir(name) == path.Clean(dir):
		case dir == "":
			faults = append(faults, name+" is not in the root")
		default:
			faults = append(faults, name+" is not in "+dir)
		}
	}
	if len(links) == 0 {
		faults = append(faults, "no test is named")
	}
	for _, test := range regexp.MustCompile(`\bTest\w+`).FindAllString(testLink.ReplaceAllString(text, ""), -1) {
		faults = append(faults, test+" has no link")
	}
	return faults
}

// The examples have no login, and some let every page read, so nothing but this machine
// reaches them unless somebody asks for it.
func TestExamplesListenOnLoopback(t *testing.T) {
	address := regexp.MustCompile(`"([^"/:\s]*):\d{2,5}"|"host", "(.*?)"`)
	found := 0
	for _, name := range files(t, ".go") {
		if !strings.HasPrefix(name, "examples/") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range address.FindAllStringSubmatch(read(t, name), -1) {
			if found++; m[1]+m[2] != "127.0.0.1" {
				t.Errorf("%s: the address %s is not of this machine alone", name, m[0])
			}
		}
	}
	if found < 10 {
		t.Errorf("got %d addresses, want those of all examples", found)
	}
}
