package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	testenv.ShareCPUs()
	ssetest.Main(m)
}

// Each query of the dashboard finds numbers in a Prometheus that reads the program's metrics.
func TestDashboard(t *testing.T) {
	program := testenv.Program(t, "prometheus")
	h := hub.New(hub.WithLog(new(hubtest.MemoryLog))) // the program has none, but the dashboard does
	ctx, stop := context.WithCancel(t.Context())
	published := make(chan struct{})
	go func() {
		defer close(published)
		publish(ctx, h, 10*time.Millisecond)
	}()
	t.Cleanup(func() {
		stop()
		<-published
		if err := h.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r, err := router(h, run.New())
	if err != nil {
		t.Fatal(err)
	}
	site := ssetest.Serve(t, r)
	db := startPrometheus(t, program, strings.TrimPrefix(site, "http://"))

	queries := queriesOf(t)
	if len(queries) < 20 {
		t.Fatalf("got %d queries in dashboard.json, want more", len(queries))
	}
	deadline := time.Now().Add(hosttest.Patience)
	for n := 0; len(queries) > 0; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("no numbers for %q", queries)
		}
		visit(t, site, n)
		var left []string
		for _, q := range queries {
			if !db.has(t, q) {
				left = append(left, q)
			}
		}
		queries = left
	}
}

// visit does what the metrics are about.
func visit(t *testing.T, site string, n int) {
	t.Helper()
	prices := ssetest.Open(t, site+"/prices")
	prices.Collect(2)
	prices.Close()
	lost := ssetest.Request{URL: site + "/prices", Header: http.Header{"Last-Event-Id": {"strange"}}}.Open(t)
	lost.Next()
	lost.Close()
	counts := site + "/counts/" + strconv.Itoa(n)
	ssetest.Request{URL: counts, Method: http.MethodPost}.Open(t).All()
	ssetest.Request{URL: counts + "-unknown"}.Open(t).Body()
}

// queriesOf returns the queries of the dashboard.
func queriesOf(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, strings.ReplaceAll(target.Expr, "$__rate_interval", "10s"))
		}
	}
	return queries
}

// A database is a Prometheus that runs, by its address.
type database string

// startPrometheus starts one with the settings of prometheus.yml, for another target.
func startPrometheus(t *testing.T, program, target string) database {
	t.Helper()
	dir, addr := t.TempDir(), testenv.Addr(t)
	text, err := os.ReadFile("prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("5s", "200ms", "127.0.0.1:8080", target).Replace(string(text))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil { //nolint:gosec // in the test's own directory
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", addr)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", &said)
		}
	})
	hosttest.Eventually(t, "prometheus is ready", func() bool {
		resp, err := http.Get("http://" + addr + "/-/ready")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return database(addr)
}

// has reports whether a query returns a number.
func (p database) has(t *testing.T, query string) bool {
	t.Helper()
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			Result []struct {
				Value [2]any `json:"value"` // a time and a number
			} `json:"result"`
		} `json:"data"`
	}
	got := hosttest.Get(t, "http://"+string(p)+"/api/v1/query?query="+url.QueryEscape(query))
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: got %q, %v", query, got.Body, err)
	}
	for _, r := range answer.Data.Result {
		if v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64); err == nil && !math.IsNaN(v) {
			return true
		}
	}
	return false
}
