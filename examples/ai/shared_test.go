package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// envProgram makes the test binary the program.
const envProgram = "AI_TEST_PROGRAM"

// A backend is what processes can share.
type backend struct {
	flag  string
	serve func(t testing.TB) (url string)
	drop  func(t *testing.T, url string, nth int) // the nth turn
}

var backends = []backend{
	{"redis", testenv.Redis, func(t *testing.T, url string, nth int) {
		t.Helper()
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		c := redis.NewClient(o)
		defer func() { _ = c.Close() }()
		all, err := c.XRange(t.Context(), turnsName, "-", "+").Result()
		if err == nil {
			err = c.XDel(t.Context(), turnsName, all[nth-1].ID).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}},
	{"nats", natsServer, func(t *testing.T, url string, nth int) {
		t.Helper()
		nc, err := nats.Connect(url)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), turnsName)
		if err == nil {
			err = stream.DeleteMsg(t.Context(), uint64(nth))
		}
		if err != nil {
			t.Fatal(err)
		}
	}},
}

// natsServer runs a NATS server and returns its URL.
func natsServer(t testing.TB) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(hosttest.Patience) {
		t.Fatal("the NATS server did not start")
	}
	return s.ClientURL()
}

// program runs the program on a free port until the test ends, and returns the URL of a conversation.
func program(t *testing.T, args ...string) (base string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"-addr", "127.0.0.1:0"}, args...)...) //nolint:gosec // itself
	cmd.Env = append(os.Environ(), envProgram+"=1")
	_, line, _ := strings.Cut(testenv.Start(t, cmd, "Open "), "Open ")
	root, _, _ := strings.Cut(line, ",")
	return root + "/chats/one", func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// window opens a stream. The death of a process is told after 11 s, which is longer than ssetest waits.
func window(t *testing.T, r ssetest.Request) *ssetest.Stream {
	t.Helper()
	r.Timeout = hosttest.Patience
	return r.Open(t)
}

// upstreamOf serves a dictated model as OpenAI's servers do, and returns its URL.
func upstreamOf(t *testing.T, d *dictated) string {
	t.Helper()
	type message struct {
		Messages []said `json:"messages"`
	}
	return hosttest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		var question message
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		return func(yield func(core.Event, error) bool) {
			for token, err := range d.model(r.Context(), question.Messages) {
				if err != nil {
					yield(core.Event{}, err)
					return
				}
				delta := map[string]any{"delta": map[string]string{"content": token}}
				if !yield(core.Event{}.JSON(map[string]any{"choices": []any{delta}})) {
					return
				}
			}
			yield(core.Event{Data: "[DONE]"}, nil)
		}
	}))
}

// Two processes serve the same conversation. What one of them begins, the other one shows,
// stops and remembers; and it tells its windows when the first one has died.
func TestProcesses(t *testing.T) {
	for _, b := range backends {
		t.Run(b.flag, func(t *testing.T) {
			t.Parallel()
			d := &dictated{tokens: make(chan string), asked: make(chan []said, 10)}
			args := []string{"-" + b.flag, b.serve(t), "-upstream", upstreamOf(t, d)}
			first, kill := program(t, args...)
			second, _ := program(t, args...)

			// The other process shows an answer while it is being written, and goes on where a window was.
			turns, elsewhere := window(t, ssetest.Request{URL: first + "/turns"}), window(t, ssetest.Request{URL: second + "/turns"})
			window(t, ask(first, "Why?")).Collect(1)
			id := next(t, elsewhere, "question").ID
			next(t, turns, "question")
			d.say(t, "Be", "cause")
			reader := window(t, ssetest.Request{URL: first + "/answers/" + id})
			seen := reader.Collect(3)
			if got, want := text(seen), "Because"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			reader.Close()
			d.say(t, " of")
			moved := window(t, ssetest.Request{URL: second + "/answers/" + id, Header: http.Header{"Last-Event-Id": {seen[2].ID}}})
			whole := window(t, ssetest.Request{URL: second + "/answers/" + id})
			if got, want := text(moved.Collect(1)), " of"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got, want := text(whole.Collect(4)), "Because of"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}

			// It stops the answer.
			req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, second+"/answers/"+id, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := hosttest.Do(t, req).Status, http.StatusNoContent; got != want {
				t.Errorf("got status %d, want %d", got, want)
			}
			ends(t, moved.All(), "stopped")
			ends(t, whole.All(), "stopped")
			stopped := turn{id, "Because of", "stopped"}
			for _, s := range []*ssetest.Stream{turns, elsewhere} {
				if got := next(t, s, "answer"); got != stopped {
					t.Errorf("got %+v, want %+v", got, stopped)
				}
			}

			// It remembers the conversation.
			late := window(t, ssetest.Request{URL: second + "/turns"})
			next(t, late, "question")
			if got := next(t, late, "answer"); got != stopped {
				t.Errorf("a late window got %+v, want %+v", got, stopped)
			}
			hosttest.Receive(t, d.asked, "a question to the model")
			asker := window(t, ask(second, "Really?"))
			history := []said{{"user", "Why?"}, {"assistant", stopped.Text}, {"user", "Really?"}}
			if got := hosttest.Receive(t, d.asked, "a question to the model"); !slices.Equal(got, history) {
				t.Errorf("got the history %q, want %q", got, history)
			}
			d.say(t, "Yes.", "end")
			ends(t, asker.All(), "done")
			next(t, elsewhere, "question")
			next(t, elsewhere, "answer")

			// It tells its windows that the first process has died, and the conversation goes on.
			window(t, ask(first, "And?")).Collect(1)
			hosttest.Receive(t, d.asked, "a question to the model")
			d.say(t, "So")
			id = next(t, elsewhere, "question").ID
			reader = window(t, ssetest.Request{URL: second + "/answers/" + id})
			if got, want := text(reader.Collect(2)), "So"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			kill()
			ends(t, reader.All(), "lost")
			after := window(t, ssetest.Request{URL: second + "/answers/" + id}).All()
			if got, want := text(after), "So"; got != want {
				t.Errorf("a window that came later got %q, want %q", got, want)
			}
			ends(t, after, "lost")
			asker = window(t, ask(second, "Well?"))
			history = append(history, said{"assistant", "Yes."}, said{"user", "Well?"})
			if got := hosttest.Receive(t, d.asked, "a question to the model"); !slices.Equal(got, history) {
				t.Errorf("got the history %q, want %q", got, history)
			}
			d.say(t, "Well.", "end")
			ends(t, asker.All(), "done")
		})
	}
}

// If the server has lost a turn, the conversation goes on without it.
func TestLostTurn(t *testing.T) {
	for _, b := range backends {
		t.Run(b.flag, func(t *testing.T) {
			at := b.serve(t)
			o := options{redis: at}
			if b.flag == "nats" {
				o = options{nats: at}
			}
			common, closeAll, err := o.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(closeAll)
			open := func() *chat {
				s := newChat(builtIn, common)
				t.Cleanup(func() { _ = s.turns.Shutdown(context.Background()) })
				return s
			}
			s := open()
			keep(t, s, turn{"1", "Why?", ""}, turn{"2", "Who?", ""}, turn{"1", "Because.", "done"}, turn{"2", "He.", "done"})
			b.drop(t, at, 3)
			s = open() // another process
			got, err := s.history(t.Context(), "one", keep(t, s, turn{"3", "And?", ""}))
			if want := []said{{"user", "Who?"}, {"assistant", "He."}, {"user", "And?"}}; err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q and %v, want %q", got, err, want)
			}
		})
	}
}

// If the server cannot be reached, the program does not start.
func TestUnreachable(t *testing.T) {
	addr := testenv.Addr(t)
	for _, args := range [][]string{{"-redis", "redis://:secret@" + addr}, {"-nats", "nats://me:secret@" + addr}} {
		var out strings.Builder
		code := start(t.Context(), args, io.Discard, &out)
		if got, want := out.String(), args[0]+": the server cannot be used: "; code != 1 || !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s: got exit code %d and %q, want 1 and %q", args[0], code, got, want)
		}
	}
}
