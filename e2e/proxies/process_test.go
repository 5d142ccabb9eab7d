package proxies_test

import (
	"bytes"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A proxy is a program and the block of docs/proxies.md that configures it.
type proxy struct {
	name      string
	program   string
	args      []string // Dir stands for the directory of frame
	frame     string   // the file in testdata around the block
	block     string   // the language of the block in the document
	nth       int      // index among the blocks of that language
	edits     []string // pairs of old and new text that make the block usable in a test
	gzip      []string // more pairs, which make the proxy compress
	protocols []string // to the client
	breaks    []string // protocols on which a client sees that a stream broke off
	tls       bool
	watches   bool // notices that a client leaves even if nothing is sent
	gathers   bool // holds events back if it compresses them
	heeds     bool // does not compress a response with no-transform
	cuts      bool // sometimes cuts the answer to a POST over HTTP/1.1
}

// proxies are the proxies that are tested. Each cuts a stream that is silent for 2 s.
var proxies = []proxy{
	{
		name: "nginx", program: "nginx", args: []string{"-e", "stderr", "-p", "Dir", "-c", "Dir/nginx.conf"},
		frame: "nginx.conf", block: "nginx", nth: 0, tls: true,
		edits:     []string{"listen 443 ", "listen Addr ", "proxy_read_timeout 60s", "proxy_read_timeout 2s"},
		gzip:      []string{"server {", "gzip on; gzip_types text/event-stream; server {"},
		protocols: []string{"HTTP/1.1", "HTTP/2"}, breaks: []string{"HTTP/1.1", "HTTP/2"}, watches: true,
	},
	{
		name: "nginx, defaults", program: "nginx", args: []string{"-e", "stderr", "-p", "Dir", "-c", "Dir/nginx.conf"},
		frame: "nginx.conf", block: "nginx", nth: 1,
		edits:     []string{"listen 80;", "listen Addr; proxy_read_timeout 2s;"},
		gzip:      []string{"server {", "gzip on; gzip_types text/event-stream; server {"},
		protocols: []string{"HTTP/1.1"}, breaks: []string{"HTTP/1.1"}, watches: true, // it uses HTTP/1.0 to the server, where a break is a reset
	},
	{
		name: "HAProxy", program: "haproxy", args: []string{"-db", "-f", "Dir/haproxy.cfg"},
		frame: "haproxy.cfg", block: "haproxy", tls: true,
		edits:     []string{"bind :443 ", "bind Addr ", "timeout client 60s", "timeout client 2s", "timeout server 60s", "timeout server 2s"},
		gzip:      []string{"    server ", "    compression algo gzip\n    compression type text/event-stream\n    server "},
		protocols: []string{"HTTP/1.1", "HTTP/2"}, breaks: []string{"HTTP/1.1"}, watches: true, gathers: true, heeds: true,
	},
	{
		name: "Apache httpd", program: "apache2", args: []string{"-DFOREGROUND", "-f", "Dir/httpd.conf"},
		frame: "httpd.conf", block: "apache", tls: true,
		edits:     []string{"*:443", "Addr", "timeout=60", "timeout=2"},
		gzip:      []string{"SSLEngine on", "SSLEngine on\n    SetOutputFilter DEFLATE"},
		protocols: []string{"HTTP/1.1", "HTTP/2"}, breaks: []string{"HTTP/1.1", "HTTP/2"},
	},
	{
		name: "Caddy", program: "caddy", args: []string{"run", "--adapter", "caddyfile", "--config", "Dir/Caddyfile"},
		frame: "Caddyfile", block: "caddyfile", tls: true,
		edits: []string{
			"example.com {", "https://Addr {\n\tbind 127.0.0.1\n\ttls /etc/ssl/example.pem /etc/ssl/example.key",
			":8080", ":8080 {\n\t\ttransport http {\n\t\t\tread_timeout 2s\n\t\t}\n\t}",
		},
		gzip:      []string{"\ttls ", "\tencode {\n\t\tgzip\n\t\tminimum_length 1\n\t}\n\ttls "},
		protocols: []string{"HTTP/1.1", "HTTP/2"}, watches: true, gathers: true, cuts: true,
	},
}

// apacheModules are the folders in which distributions keep Apache's modules.
var apacheModules = []string{"/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules"}

// results returns p's row in the table of results in docs/proxies.md.
func (p proxy) results() string {
	breaks := "nowhere"
	if len(p.breaks) > 0 {
		breaks = "on " + strings.Join(p.breaks, " and ")
	}
	leaving, compressing := "by a heartbeat", "flow"
	if p.watches {
		leaving = "at once"
	}
	if p.gathers {
		compressing = "are held back until the end"
	}
	return "| " + strings.Join([]string{p.name, strings.Join(p.protocols, ", "), leaving, breaks, compressing}, " | ") + " |"
}

// document returns docs/proxies.md.
func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blockOf returns a block of docs/proxies.md: the nth one of its language.
func blockOf(t *testing.T, language string, nth int) string {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(document(t), -1)
	if len(blocks) <= nth {
		t.Fatalf("docs/proxies.md has %d blocks of %s, want at least %d", len(blocks), language, nth+1)
	}
	return blocks[nth][1]
}

// compressing returns p with compression.
func (p proxy) compressing() proxy {
	p.edits = slices.Concat(p.edits, p.gzip)
	return p
}

// A gate is a running proxy.
type gate struct {
	url  string
	cert *x509.Certificate
}

// start runs the proxy in front of the server at upstream, until the end of the test.
func (p proxy) start(t *testing.T, upstream string) *gate {
	t.Helper()
	program := testenv.Program(t, p.program)
	dir, addr := t.TempDir(), testenv.Addr(t)
	g := &gate{url: "http://" + addr, cert: programs.WriteCertificate(t, dir)}
	if p.tls {
		g.url = "https://" + addr
	}
	p.configure(t, dir, addr, upstream)
	cmd := exec.Command(program)
	for _, arg := range p.args {
		cmd.Args = append(cmd.Args, strings.Replace(arg, "Dir", dir, 1))
	}
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if said := programs.Serve(t, cmd, addr); said != "" {
		t.Fatalf("%s did not start: %s", p.name, said)
	}
	return g
}

// configure writes the proxy's configuration: the edited block in its frame.
func (p proxy) configure(t *testing.T, dir, addr, upstream string) {
	t.Helper()
	block := blockOf(t, p.block, p.nth)
	edit := func(old, with string) {
		t.Helper()
		if strings.Count(block, old) != 1 {
			t.Fatalf("the block for %s has %q %d times, want it once:\n%s", p.name, old, strings.Count(block, old), block)
		}
		block = strings.Replace(block, old, with, 1)
	}
	for i := 0; i < len(p.edits); i += 2 {
		edit(p.edits[i], p.edits[i+1])
	}
	edit("127.0.0.1:8080", upstream)
	block = strings.ReplaceAll(block, "Addr", addr)
	block = strings.ReplaceAll(block, "/etc/ssl", dir)

	frame, err := template.ParseFiles(filepath.Join("testdata", p.frame))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]string{"Dir": dir, "Port": port, "Block": block}
	for _, modules := range apacheModules {
		if _, err := os.Stat(modules); err == nil {
			data["Modules"] = modules
		}
	}
	var config bytes.Buffer
	if err := frame.Execute(&config, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, p.frame), config.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
