package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// The test binary also runs as the cluster and as its nodes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-node" || os.Getenv("CLUSTER_TEST_START") != "" {
		main()
		return
	}
	testenv.ShareCPUs()
	ssetest.Main(m)
}

const patience = 30 * time.Second

// cluster starts a cluster and returns its nodes' URLs.
func cluster(t *testing.T, args ...string) (urls []string, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"-nodes", "3", "-port", "0"}, args...)...) //nolint:gosec // itself
	cmd.Env = append(os.Environ(), "CLUSTER_TEST_START=1")
	printed := testenv.Start(t, cmd, "Ctrl-C")
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the cluster ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return regexp.MustCompile(`http://\S+`).FindAllString(printed, -1), stop
}

// stream reads messages from a node until it has received as many as it wants, and returns
// the last ID.
func stream(t *testing.T, node, after string, want ...string) (id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/stream?after="+url.QueryEscape(after), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range client.Stream(req) {
		var m message
		if err == nil && e.Type == "message" {
			err = json.Unmarshal([]byte(e.Data), &m)
		}
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got, id = append(got, e.Type+" "+m.Text), e.ID
		if len(got) == len(want) {
			break
		}
	}
	for i, w := range want {
		want[i] = "message " + w
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got messages %q, want %q", node, got, want)
	}
	return id
}

func post(t *testing.T, node, path string, form url.Values) error {
	t.Helper()
	resp, err := http.PostForm(node+path, form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Errorf("%s%s: %d %s", node, path, resp.StatusCode, text)
	}
	return nil
}

func TestCluster(t *testing.T) {
	t.Run("NATS", func(t *testing.T) { checkCluster(t) })
	t.Run("Redis", func(t *testing.T) { checkCluster(t, "-redis", testenv.Redis(t)) })
}

func checkCluster(t *testing.T, args ...string) {
	t.Helper()
	nodes, stop := cluster(t, args...)
	if len(nodes) != 3 {
		t.Fatalf("got nodes %q, want 3", nodes)
	}
	for _, text := range []string{"one", "two"} {
		if err := post(t, nodes[0], "/messages", url.Values{"text": {text}, "key": {text}}); err != nil {
			t.Fatal(err)
		}
	}
	id := ""
	for _, node := range nodes {
		id = stream(t, node, "", "one", "two")
	}
	if err := post(t, nodes[0], "/kill", nil); err == nil {
		t.Error("the node that was killed answered")
	}
	if err := post(t, nodes[2], "/messages", url.Values{"text": {"three"}}); err != nil {
		t.Fatal(err)
	}
	stream(t, nodes[1], id, "three")
	stop()
	if _, err := http.Get(nodes[1]); err == nil {
		t.Error("a node still runs after the cluster has stopped")
	}
}

func TestPage(t *testing.T) {
	nodes, _ := cluster(t)
	resp, err := http.Get(nodes[1])
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !bytes.Contains(text, []byte("<title>")) {
		t.Errorf("page: got status %d, error %v, body %.80q", resp.StatusCode, err, text)
	}
	_, own, _ := strings.Cut(nodes[1], "http://")
	named := func(node string) string { return strings.Replace(node, "127.0.0.1", "localhost", 1) }
	for _, test := range []struct {
		origin, host string
		status       int
		allow        string
	}{
		{"", own, 200, ""},
		{nodes[0], own, 200, nodes[0]},
		{nodes[1], own, 200, ""},
		{named(nodes[0]), named(own), 200, named(nodes[0])},
		{named(nodes[1]), named(own), 200, ""},
		{"http://elsewhere.test", own, 403, ""},
		{strings.Replace(nodes[0], "127.0.0.1", "elsewhere.test", 1), own, 403, ""},
		{"http://127.0.0.1", own, 403, ""},
		{"null", own, 403, ""},
	} {
		req, err := http.NewRequest(http.MethodPost, nodes[1]+"/messages", strings.NewReader("text=x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Host = test.host
		if test.origin != "" {
			req.Header.Set("Origin", test.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if allow := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != test.status || allow != test.allow {
			t.Errorf("from %q: got status %d and allowed origin %q, want %d and %q", test.origin, resp.StatusCode, allow, test.status, test.allow)
		}
	}
}

// Wrong arguments are refused with an error that says what is wrong.
func TestArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-h"}, 0, "-nodes"},
		{[]string{"-nodes", "0"}, 2, "want -nodes of at least 1"},
		{[]string{"more"}, 2, "no arguments except flags"},
		{[]string{"-redis", "127.0.0.1:6379"}, 2, "a URL such as redis://127.0.0.1:6379"},
		{[]string{"-redis", "nonsense://", "-port", "0"}, 1, "node 1"},
		{[]string{"-port", "99999"}, 1, "invalid port"},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), test.args, strings.NewReader(""), io.Discard, &stderr)
		if code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: got exit code %d and %q, want %d and %q", test.args, code, stderr.String(), test.code, test.want)
		}
	}
}
