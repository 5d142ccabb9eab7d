package rolling_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

const document = "../../docs/draining.md"

// A proxy is a program and the block of docs/draining.md that configures it.
type proxy struct {
	program string
	args    []string // Dir stands for the directory of frame
	frame   string   // the file in testdata around the block, whose language is the program
	edits   []string // pairs of old and new text
}

var (
	nginx = proxy{
		program: "nginx", frame: "nginx.conf",
		args:  []string{"-e", "stderr", "-p", "Dir", "-c", "Dir/nginx.conf"},
		edits: []string{"listen 80", "listen Addr"},
	}
	haproxy = proxy{
		program: "haproxy", frame: "haproxy.cfg",
		args: []string{"-db", "-f", "Dir/haproxy.cfg"},
	}
)

// with returns the proxy with more edits.
func (p proxy) with(edits ...string) proxy {
	p.edits = slices.Concat(p.edits, edits)
	return p
}

// A gate is a running proxy.
type gate struct {
	url, dir string
}

// start runs the proxy in front of servers, until the end of the test.
func (p proxy) start(t *testing.T, servers ...string) gate {
	t.Helper()
	program := testenv.Program(t, p.program)
	dir, addr := t.TempDir(), testenv.Addr(t)
	p.configure(t, dir, addr, servers)
	cmd := exec.Command(program)
	for _, arg := range p.args {
		cmd.Args = append(cmd.Args, strings.Replace(arg, "Dir", dir, 1))
	}
	if said := programs.Serve(t, cmd, addr); said != "" {
		t.Fatalf("%s did not start: %s", p.program, said)
	}
	return gate{"http://" + addr, dir}
}

// configure writes the proxy's configuration: the edited block in its frame.
func (p proxy) configure(t *testing.T, dir, addr string, servers []string) {
	t.Helper()
	block := blockOf(t, p.program)
	for i := len(servers) + 1; i <= 3; i++ { // the block has three
		block = regexp.MustCompile(fmt.Sprintf(`(?m)^ +server .*127\.0\.0\.1:%d.*\n`, 8080+i)).ReplaceAllString(block, "")
	}
	edits := slices.Clone(p.edits)
	for i, server := range servers {
		edits = append(edits, fmt.Sprint("127.0.0.1:", 8081+i), server)
	}
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(block, edits[i]) {
			t.Fatalf("the block for %s does not have %q:\n%s", p.program, edits[i], block)
		}
		block = strings.ReplaceAll(block, edits[i], edits[i+1])
	}
	frame, err := template.ParseFiles(filepath.Join("testdata", p.frame))
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	if err := frame.Execute(&config, map[string]any{"Dir": dir, "Block": block, "Streams": *clients + 200, "Connections": 2 * (*clients + 200)}); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(config.String(), "Addr", addr)
	if err := os.WriteFile(filepath.Join(dir, p.frame), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// blockOf returns the document's block of a language.
func blockOf(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks of %s, want one", document, len(blocks), language)
	}
	return blocks[0][1]
}

// command sends a command to HAProxy, and fails the test if it answers.
func (g gate) command(t *testing.T, command string) {
	t.Helper()
	conn, err := net.DialTimeout("unix", filepath.Join(g.dir, "haproxy.sock"), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || strings.TrimSpace(string(answer)) != "" {
		t.Fatalf("HAProxy: %s: got %q and error %v", command, answer, err)
	}
}
