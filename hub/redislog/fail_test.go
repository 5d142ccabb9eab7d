package redislog_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// All methods say in time what is wrong with the server.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		open func(t *testing.T) *redislog.Log
		says string // the error has each of these words
		read bool   // reading works
	}{
		{
			name: "wrong password", says: "password WRONGPASS",
			open: func(t *testing.T) *redislog.Log {
				s := serve(t, "--requirepass", "right")
				return openWith(t, &redis.UniversalOptions{Addrs: []string{s.addr}, Password: "wrong"})
			},
		},
		{
			name: "no password", says: "password",
			open: func(t *testing.T) *redislog.Log { return serve(t, "--requirepass", "right").open() },
		},
		{
			name: "too old for streams", says: "too old 6.2",
			open: func(t *testing.T) *redislog.Log {
				return open(t, pretend(t, "-ERR Unknown Redis command called from Lua script"))
			},
		},
		{
			name: "too old for scripts", says: "too old 6.2",
			open: func(t *testing.T) *redislog.Log { return open(t, pretend(t, "-ERR unknown command 'EVALSHA'")) },
		},
		{
			name: "the key holds something else", says: "something else WRONGTYPE",
			open: func(t *testing.T) *redislog.Log {
				s := serve(t)
				if err := s.client().Set(soon(t), "events", "text", 0).Err(); err != nil {
					t.Fatal(err)
				}
				return s.open()
			},
		},
		{
			name: "the epoch's key holds something else", says: "something else WRONGTYPE",
			open: func(t *testing.T) *redislog.Log {
				s := serve(t)
				add(t, s.open(), "1")
				c := s.client()
				key := c.Keys(soon(t), "*epoch").Val()[0]
				if err := c.Del(soon(t), key).Err(); err != nil {
					t.Fatal(err)
				}
				if err := c.LPush(soon(t), key, "text").Err(); err != nil {
					t.Fatal(err)
				}
				return s.open()
			},
		},
		{
			name: "a replica", says: "replica primary READONLY", read: true,
			open: func(t *testing.T) *redislog.Log {
				primary := serve(t, "--repl-diskless-sync-delay", "0")
				add(t, primary.open(), "1")
				host, port, _ := net.SplitHostPort(primary.addr)
				s := serve(t, "--replicaof", host+" "+port)
				c := s.client()
				for deadline := time.Now().Add(patience); c.Exists(soon(t), "events").Val() == 0; {
					if time.Now().After(deadline) {
						t.Fatal("the replica gets nothing")
					}
					<-time.After(10 * time.Millisecond)
				}
				return s.open()
			},
		},
		{
			name: "a replica of an empty server", says: "replica primary READONLY",
			open: func(t *testing.T) *redislog.Log {
				primary := serve(t)
				host, port, _ := net.SplitHostPort(primary.addr)
				return serve(t, "--replicaof", host+" "+port, "--replica-serve-stale-data", "yes").open()
			},
		},
		{
			name: "out of memory", says: "memory OOM", read: true,
			open: func(t *testing.T) *redislog.Log {
				s := serve(t)
				add(t, s.open(), "1")
				c := s.client()
				if err := c.ConfigSet(soon(t), "maxmemory-policy", "noeviction").Err(); err != nil {
					t.Fatal(err)
				}
				if err := c.ConfigSet(soon(t), "maxmemory", "1mb").Err(); err != nil {
					t.Fatal(err)
				}
				return s.open()
			},
		},
		{
			name: "a user who may run no scripts", says: "lacks NOPERM",
			open: func(t *testing.T) *redislog.Log { return openAs(t, serve(t), "~*", "+@all", "-eval", "-evalsha") },
		},
		{
			name: "a user whom a script needs more of", says: "lacks script",
			open: func(t *testing.T) *redislog.Log { return openAs(t, serve(t), "~*", "+@all", "-exists") },
		},
		{
			name: "a user of other keys", says: "lacks NOPERM",
			open: func(t *testing.T) *redislog.Log { return openAs(t, serve(t), "~others", "+@all") },
		},
		{
			name: "no server", says: "connection refused",
			open: func(t *testing.T) *redislog.Log { return open(t, testenv.Addr(t)) },
		},
		{
			name: "a server that does not answer", says: "",
			open: func(t *testing.T) *redislog.Log {
				p := hubtest.NewProxy(t, serve(t).addr)
				p.Stall(true, true)
				return open(t, p.Addr)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			logged.take()
			l := test.open(t)
			h := hub.New(hub.WithLog(l))
			defer func() {
				if err := h.Shutdown(soon(t)); err != nil {
					t.Error(err)
				}
			}()
			var calls sync.WaitGroup
			for name, call := range map[string]func(ctx context.Context) error{
				"append": func(ctx context.Context) error {
					_, err := l.Append(ctx, hub.Entry{Topic: "a"})
					return err
				},
				"append much": func(ctx context.Context) error {
					_, err := l.Append(ctx, hub.Entry{Topic: "a", Event: core.Event{Data: strings.Repeat("x", 1<<20)}})
					return err
				},
				"publish": func(ctx context.Context) error {
					_, err := h.Publish(ctx, "a", core.Event{})
					return err
				},
				"last":  func(ctx context.Context) error { _, err := l.Last(ctx); return err },
				"range": func(ctx context.Context) error { _, err := l.Range(ctx, "", 1); return err },
				"follow": func(ctx context.Context) error {
					for e, err := range l.Follow(ctx, "") {
						if err != nil || e.ID != "" {
							return err
						}
					}
					return errors.New("nothing was yielded")
				},
			} {
				calls.Go(func() {
					limit := patience
					if test.says == "" {
						limit = time.Second // there is no answer
					}
					ctx, cancel := context.WithTimeout(context.Background(), limit)
					began := time.Now()
					err := call(ctx)
					took := time.Since(began)
					cancel()
					if test.read && !strings.HasPrefix(name, "append") && name != "publish" {
						if err != nil {
							t.Errorf("%s: got %v, want no error", name, err)
						}
						return
					}
					if took > limit+patience {
						t.Errorf("%s took %v, with a context of %v", name, took, limit)
					}
					if err == nil {
						t.Errorf("%s: got no error", name)
						return
					}
					for word := range strings.FieldsSeq(test.says + " redislog: events") {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("%s: got %q, want it to say %q", name, err, word)
						}
					}
				})
			}
			calls.Wait()
			if lines := logged.take(); len(lines) > 0 {
				t.Errorf("go-redis has written %q to the log of the process", lines)
			}
			if !test.read {
				for deadline := time.Now().Add(patience); h.Healthy() == nil; {
					if time.Now().After(deadline) {
						t.Fatal("the hub is healthy")
					}
					<-time.After(10 * time.Millisecond)
				}
			}
		})
	}
}

// openAs returns a log of a user that has only these permissions.
func openAs(t *testing.T, s *server, may ...any) *redislog.Log {
	t.Helper()
	user := append([]any{"ACL", "SETUSER", "user", "reset", "on", ">password"}, may...)
	if err := s.client().Do(soon(t), user...).Err(); err != nil {
		t.Fatal(err)
	}
	return openWith(t, &redis.UniversalOptions{Addrs: []string{s.addr}, Username: "user", Password: "password"}, redislog.WithMaxAge(time.Hour))
}

// permissions returns what the documentation in a file says that a user needs.
func permissions(t testing.TB, file, user string) []string {
	t.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // of this package
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(text), "SETUSER "+user+" on >password ")
	var words []string
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "//"))
		if line == "" || strings.HasPrefix(line, "func ") {
			break
		}
		words = append(words, strings.Fields(line)...)
	}
	if len(words) == 0 {
		t.Fatal("the documentation has no rules")
	}
	return words
}

// The documentation lists the permissions that a user needs.
func TestPermissions(t *testing.T) {
	t.Parallel()
	var may []any
	for _, word := range permissions(t, "doc.go", "events") {
		may = append(may, word)
	}
	s := serve(t)
	l := openAs(t, s, may...)
	w := follow(t, l, last(t, l))
	add(t, l, "1")
	lose := keep(t, s)
	add(t, l, "2")
	w.want("1", "2")
	lose()
	w.want("GAP")
	if _, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: "3"}, IdempotencyKey: "once"}); err != nil {
		t.Fatal(err)
	}
	w.want("3")
	if err := s.client().FlushAll(soon(t)).Err(); err != nil {
		t.Fatal(err)
	}
	w.want("GAP")
	if err := s.client().ConfigSet(soon(t), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"1", strings.Repeat("x", 1<<20)} {
		_, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: data}})
		if err == nil || !strings.Contains(err.Error(), "memory is full") {
			t.Errorf("got %v, want an error that the memory is full", err)
		}
	}
}

// A call that waits until its context's deadline returns that, even if a connection notices
// the deadline first.
func TestDeadline(t *testing.T) {
	t.Parallel()
	p := hubtest.NewProxy(t, serve(t).addr)
	l := open(t, p.Addr)
	for range 50 {
		p.Resume()
		add(t, l, "1")
		p.Stall(true, true)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		_, err := l.Append(ctx, hub.Entry{Topic: "a"})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want DeadlineExceeded", err)
		}
	}
}

// pretend starts a server that answers each command with one line. It returns its
// address.
func pretend(t *testing.T, line string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				lines := bufio.NewScanner(c)
				lines.Buffer(nil, 2<<20)
				for left := 0; lines.Scan(); left-- {
					if n, ok := strings.CutPrefix(lines.Text(), "*"); ok && left <= 0 {
						left, _ = strconv.Atoi(n) // the arguments, each in two lines
						left = 2*left + 1
					}
					if left == 1 {
						_, _ = c.Write([]byte(line + "\r\n"))
					}
				}
			})
		}
	})
	return l.Addr().String()
}
