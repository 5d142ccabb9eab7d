package main

import (
	"bufio"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/hub/redislog"
)

// envLog is the environment variable with the URL of the server that holds the log.
const envLog = "CLUSTER_LOG"

//go:embed page/index.html
var page embed.FS

// openLog opens the log that all nodes share.
func openLog(server string) (hub.Log, func(), error) {
	if !strings.HasPrefix(server, "nats://") {
		o, err := redis.ParseURL(server)
		if err != nil {
			return nil, nil, err
		}
		l := redislog.New(&redis.UniversalOptions{
			Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
		}, "cluster")
		return l, func() { _ = l.Close() }, nil
	}
	nc, err := nats.Connect(server, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return natslog.New(js, "cluster"), nc.Close, nil
}

// serve runs a node. It prints its URL, reads the URLs of all nodes from stdin, and ends
// when stdin ends.
func serve(c config, stdin io.Reader, stdout io.Writer) error {
	signal.Ignore(os.Interrupt) // the process that started this one handles Ctrl-C
	log, closeLog, err := openLog(os.Getenv(envLog))
	if err != nil {
		return err
	}
	defer closeLog()
	h := hub.New(hub.WithLog(log))
	listener, err := net.Listen("tcp", net.JoinHostPort(c.host, strconv.Itoa(c.port)))
	if err != nil {
		return errors.Join(err, h.Shutdown(context.Background()))
	}
	fmt.Fprintln(stdout, urlOf(listener))
	lines := bufio.NewScanner(stdin)
	lines.Scan()
	srv := &http.Server{Handler: router(c.node, strings.Fields(lines.Text()), h), ReadHeaderTimeout: endTime}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines.Scan() {
		}
	}()
	select {
	case err = <-failed:
	case <-done:
		err = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	return errors.Join(err, h.Shutdown(ctx), srv.Shutdown(ctx))
}

const topic = "chat"

type message struct {
	Node int    `json:"node"` // the node that it was posted to
	Text string `json:"text"`
	Time string `json:"time"`
}

// health is what the page shows in its status line.
type health struct {
	Node    int           `json:"node"`
	Process int           `json:"process"`
	Trouble string        `json:"trouble,omitempty"`
	Readers int           `json:"readers"`
	Follow  *hub.LogStats `json:"follow"`
}

func router(number int, nodes []string, h *hub.Hub) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), sameCluster(nodes))
	r.GET("/", func(c *gin.Context) { c.FileFromFS("page/", http.FS(page)) })
	r.GET("/nodes", func(c *gin.Context) { c.JSON(200, gin.H{"node": number, "nodes": nodes}) })

	// A page that comes from another node has its last event ID in the query, because a
	// new EventSource does not send Last-Event-ID.
	r.GET("/stream", ginsse.Handler(func(c *gin.Context) core.Stream {
		from := hub.Oldest
		if id := c.Query("after"); id != "" {
			from = hub.After(id)
		}
		return h.SubscribeFrom(c.Request.Context(), from, topic)
	}, core.WithRetry(time.Second)))

	r.GET("/health", ginsse.Handler(func(c *gin.Context) core.Stream {
		ctx := c.Request.Context()
		return func(yield func(core.Event, error) bool) {
			for {
				now := health{Node: number, Process: os.Getpid(), Readers: h.Len(topic), Follow: h.Stats().Log}
				if err := h.Healthy(); err != nil {
					now.Trouble = err.Error()
				}
				if !yield(core.Event{}.JSON(now)) {
					return
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Second):
				}
			}
		}
	}))

	r.POST("/messages", func(c *gin.Context) {
		text, key := strings.TrimSpace(c.PostForm("text")), c.PostForm("key")
		if text == "" || len(text) > 2000 || len(key) > 255 {
			c.String(400, "A message must have 1 to 2,000 bytes, and its key at most 255.")
			return
		}
		e, err := core.Event{Type: "message"}.JSON(message{number, text, time.Now().Format(time.TimeOnly)})
		id := ""
		if err == nil {
			id, err = h.Publish(c.Request.Context(), topic, e, hub.WithIdempotencyKey(key))
		}
		if err != nil {
			c.String(503, "The message was not posted: %v", err)
			return
		}
		c.JSON(200, gin.H{"id": id})
	})

	// The node dies as if it had crashed.
	r.POST("/kill", func(*gin.Context) {
		if p, err := os.FindProcess(os.Getpid()); err == nil {
			_ = p.Kill()
		}
	})
	return r
}

// sameCluster lets only the pages of this cluster's nodes use this node. They have the
// same host as this node, whatever name the browser has for it, and a node's port.
func sameCluster(nodes []string) gin.HandlerFunc {
	ports := make(map[string]bool, len(nodes))
	for _, node := range nodes {
		if u, err := url.Parse(node); err == nil {
			ports[u.Port()] = true
		}
	}
	return func(c *gin.Context) {
		origin := c.GetHeader("Origin")
		from, err1 := url.Parse(origin)
		here, err2 := url.Parse("http://" + c.Request.Host)
		switch {
		case origin == "" || origin == "http://"+c.Request.Host:
		case err1 == nil && err2 == nil && from.Hostname() == here.Hostname() && ports[from.Port()]:
			c.Header("Access-Control-Allow-Origin", origin)
			c.Header("Vary", "Origin")
		default:
			c.AbortWithStatus(403)
		}
	}
}
