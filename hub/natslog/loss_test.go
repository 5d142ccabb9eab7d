package natslog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A sieve is a Dialer of a client that some messages do not reach.
type sieve struct {
	mu    sync.Mutex
	drops func(message []byte) bool
}

func (s *sieve) Dial(network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	return &sieved{Conn: c, sieve: s, in: bufio.NewReader(c)}, nil
}

// set has the sieve drop n of the messages that contain all of these parts.
func (s *sieve) set(n int, parts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops = func(message []byte) bool {
		for _, part := range parts {
			if !bytes.Contains(message, []byte(part)) {
				return false
			}
		}
		n--
		return n >= 0
	}
}

type sieved struct {
	net.Conn

	sieve *sieve
	in    *bufio.Reader
	out   []byte // to be read
}

func (c *sieved) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		line, err := c.in.ReadBytes('\n')
		if err != nil {
			return 0, err
		}
		c.out = line
		if !bytes.HasPrefix(line, []byte("MSG ")) && !bytes.HasPrefix(line, []byte("HMSG ")) {
			break
		}
		fields := bytes.Fields(line)
		size, err := strconv.Atoi(string(fields[len(fields)-1]))
		if err != nil {
			return 0, err
		}
		c.out = append(c.out, make([]byte, size+len("\r\n"))...)
		if _, err := io.ReadFull(c.in, c.out[len(line):]); err != nil {
			return 0, err
		}
		c.sieve.mu.Lock()
		if c.sieve.drops != nil && c.sieve.drops(c.out) {
			c.out = nil
		}
		c.sieve.mu.Unlock()
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

func openSieved(t *testing.T) (*natslog.Log, *sieve) {
	t.Helper()
	s := new(sieve)
	js := connect(t, runServer(t, server.Options{JetStream: true}).ClientURL(), nats.SetCustomDialer(s))
	return natslog.New(js, "events"), s
}

// A message that was lost on its way to the follower still comes, without a gap, because the
// stream has it.
func TestLostOnTheWay(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{"in the middle": "3", "the last one": "5"} {
		t.Run(name, func(t *testing.T) {
			l, s := openSieved(t)
			f := follow(t, l, "")
			f.want("|")
			s.set(1, "$JS.ACK.", "\r\n"+data+"\r\n")
			publish(t, l, 1, 5)
			f.want("1 2 3 4 5")
		})
	}
}

// A server that answers without messages that the stream's leader has is asked again.
func TestRangeLacks(t *testing.T) {
	t.Parallel()
	l, s := openSieved(t)
	ids := publish(t, l, 1, 5)
	s.set(4, "Nats-Sequence: ")
	wantRange(t, l, ids[0], 100, "2 3 4 5")
}

// However many calls wait for reads, appends and followers do not wait for them.
func TestReadsHang(t *testing.T) {
	t.Parallel()
	l, s := openSieved(t)
	ids := publish(t, l, 1, 3)
	s.set(math.MaxInt, "Nats-Num-Pending: ")
	ctx, cancel := context.WithCancel(within(t, patience))
	var reads sync.WaitGroup
	defer func() { cancel(); reads.Wait() }()
	for range 300 {
		reads.Go(func() { _, _ = l.Range(ctx, ids[0], 100) })
	}
	for full := false; !full; {
		_, err := l.Range(within(t, 10*time.Millisecond), ids[0], 100)
		full = err != nil && strings.Contains(err.Error(), "calls wait for the connection")
		if ctx.Err() != nil {
			t.Fatal("the reads have ended")
		}
	}
	f := follow(t, l, ids[2])
	publish(t, l, 4, 5)
	f.want("4 5")
	if ctx.Err() != nil {
		t.Error("it had to wait until the reads had failed")
	}
}

// The newest messages are gone before anybody has read them. No message says so, but there
// is a gap, both for followers and for readers of pages.
func TestDeletedEnd(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(ctx context.Context, s jetstream.Stream) error{
		"one by one": func(ctx context.Context, s jetstream.Stream) error {
			return errors.Join(s.DeleteMsg(ctx, 4), s.DeleteMsg(ctx, 5))
		},
		"all": func(ctx context.Context, s jetstream.Stream) error { return s.Purge(ctx) },
	} {
		for _, storage := range []jetstream.StorageType{jetstream.FileStorage, jetstream.MemoryStorage} {
			t.Run(fmt.Sprint(name, ", ", storage), func(t *testing.T) {
				t.Parallel()
				l, js := open(t)
				stream := makeStream(t, js, jetstream.StreamConfig{
					Name: "events", Subjects: []string{"events.>"}, AllowDirect: true, Storage: storage,
				})
				ids := publish(t, l, 1, 3)
				live := follow(t, l, ids[1])
				live.want("3")
				live.stop()
				ids = append(ids, publish(t, l, 4, 5)...)
				if err := remove(within(t, patience), stream); err != nil {
					t.Fatal(err)
				}
				if got := wantRange(t, l, ids[2], 10, "gap"); got[0].ID != ids[4] {
					t.Errorf("the gap is through %q, want %q", got[0].ID, ids[4])
				}
				for _, f := range []*tail{follow(t, l, ids[2]), follow(t, l, ids[3])} {
					if got := f.take(1)[0]; !got.Gap || got.ID != ids[4] {
						t.Errorf("got %+v, want a gap through %q", got, ids[4])
					}
				}
				f := follow(t, l, ids[4])
				publish(t, l, 6, 6)
				f.want("6")
				wantRange(t, l, ids[4], 10, "6")
			})
		}
	}
}

// Messages come while a page is read, and are gone before the reader asks for them again.
func TestGoneWhileRead(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"the oldest", "this epoch", "another epoch"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			url, s := runServer(t, server.Options{JetStream: true}).ClientURL(), new(sieve)
			other := natslog.New(connect(t, url), "events")
			l := natslog.New(connect(t, url, nats.SetCustomDialer(s)), "events")
			after, want := last(t, l), "gap"
			switch from {
			case "the oldest":
				after, want = "", "|"
			case "another epoch":
				after = "aaaaaaaa-7"
			}
			var ids []string
			purged := false
			s.mu.Lock()
			s.drops = func(message []byte) bool {
				switch {
				case ids == nil && bytes.Contains(message, []byte("NATS/1.0 404")): // the stream is empty
					ids = publish(t, other, 1, 3)
				case !purged && bytes.Contains(message, []byte("stream_info_response")) && bytes.Contains(message, []byte(`"last_seq":3`)):
					purged = true
					stream, err := connect(t, url).Stream(within(t, patience), "events")
					if err == nil {
						err = stream.Purge(within(t, patience))
					}
					if err != nil {
						t.Error(err)
					}
				}
				return false
			}
			s.mu.Unlock()
			got := wantRange(t, l, after, 10, want)
			if !purged || got[0].ID != ids[2] {
				t.Errorf("the page begins with %q, want %q; purged: %v", got[0].ID, ids[2], purged)
			}
		})
	}
}

// cut begins a new epoch after that sequence number, as another process does.
func cut(t *testing.T, js jetstream.JetStream, sequence int) {
	t.Helper()
	s, err := js.Stream(within(t, patience), "events")
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.Metadata = map[string]string{"yieldsse-cut": fmt.Sprintf("another-%d", sequence)}
	if _, err := js.UpdateStream(within(t, patience), c); err != nil {
		t.Fatal(err)
	}
}

// Another process has noticed that the stream has lost its end, and has begun a new epoch.
// What follows has the new epoch.
func TestOtherEpochWhileFollowed(t *testing.T) {
	l, js := open(t)
	ids := publish(t, l, 1, 3)
	f := follow(t, l, ids[1])
	f.want("3")
	cut(t, js, 3)
	if id := last(t, l); epoch(id) == epoch(ids[0]) {
		t.Fatalf("%q is of the earlier epoch", id)
	}
	later := publish(t, l, 4, 4)
	entries := f.take(2)
	if brief(entries) != "gap 4" || entries[1].ID != later[0] {
		t.Errorf("followed %+v, want a gap and %q", entries, later[0])
	}
	if order, err := l.Compare(entries[0].ID, entries[1].ID); order >= 0 || err != nil {
		t.Errorf("the gap is through %q, and the event is %q: %v", entries[0].ID, entries[1].ID, err)
	}
}

// The stream loses its end before a message has come to a follower, and another process publishes past
// the follower's position.
func TestLostEndBeforeFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, after, begin string }{
		{"from now on", "", "|"},
		{"after a gap", "aaaaaaaa-7", "gap"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := spawn(t)
			ids := publish(t, natslog.New(connect(t, p.url), "events"), 1, 3)
			if test.after != "" {
				cut(t, connect(t, p.url), 5)
			}
			l := natslog.New(connect(t, p.url), "events")
			var f *tail
			rewind(t, p, func() {
				ids = publish(t, natslog.New(connect(t, p.url), "events"), 4, 5)
				f = follow(t, l, test.after)
				f.want(test.begin)
			})
			again := publish(t, natslog.New(connect(t, p.url), "events"), 104, 106)
			if f.after != ids[1] || again[1] != ids[1] {
				t.Fatalf("the number was not used again, so this proves nothing: %q, %q, %q", f.after, ids, again)
			}
			if e := f.take(1)[0]; !e.Gap || epoch(e.ID) == epoch(ids[1]) {
				t.Fatalf("the next entry is %+v, want a gap of another epoch than %q", e, ids[1])
			}
			publish(t, l, 107, 107)
			f.want("107")
		})
	}
}

// Nothing is published after another process has begun a new epoch. A follower notices as soon as its process
// knows, and also if nobody tells that.
func TestOtherEpochWhileIdle(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(l *natslog.Log){
		"the process knows": func(l *natslog.Log) { last(t, l) },
		"nobody knows":      func(*natslog.Log) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, js := open(t)
			ids := publish(t, l, 1, 3)
			f := follow(t, l, ids[1])
			f.want("3")
			cut(t, js, 3)
			tell(l)
			if err := f.fails(); !strings.Contains(err.Error(), "the stream has begun again") {
				t.Errorf("got %v, want an error that says that the stream has begun again", err)
			}
			f = follow(t, l, ids[2])
			f.want("gap")
			if f.after != last(t, l) {
				t.Errorf("the gap is through %q, want %q", f.after, last(t, l))
			}
		})
	}
}

// The stream loses its end while nothing is sent to the follower, whose connection stays: the server that
// has the stream may be another one. The sieve changes what that says.
func TestLostEndWhileIdle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		changes []string // the first digit after each of these becomes another
		lost    bool
	}{
		{"it is shorter", []string{`"last_seq":`}, true},
		{"the last message is another", []string{`"last_ts":"20`, `"time":"20`}, true},
		{"the last message is the same", []string{`"last_ts":"20`}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, s := openSieved(t)
			ids := publish(t, l, 1, 3)
			f := follow(t, l, ids[1])
			f.want("3")
			var looked atomic.Bool
			s.mu.Lock()
			s.drops = func(message []byte) bool {
				for _, c := range test.changes {
					if i := bytes.Index(message, []byte(c)); i >= 0 {
						message[i+len(c)]--
					}
				}
				if bytes.Contains(message, []byte("stream_msg_get_response")) {
					looked.Store(true)
				}
				return false
			}
			s.mu.Unlock()
			if test.lost {
				if err := f.fails(); !strings.Contains(err.Error(), "the stream has begun again") {
					t.Errorf("got %v, want an error that says that the stream has begun again", err)
				}
				return
			}
			for !looked.Load() {
				if _, err, _ := f.next(); err != nil {
					t.Fatal(err)
				}
			}
			if id := publish(t, l, 4, 4)[0]; epoch(id) != epoch(ids[0]) {
				t.Errorf("%q is of another epoch than %q", id, ids[0])
			}
			f.want("4")
		})
	}
}

// The stream loses what this process has added before its follower has seen that, and another process
// publishes past it.
func TestLostEndUnseen(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"followed", "read"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			p := spawn(t)
			l := natslog.New(connect(t, p.url), "events")
			ids := publish(t, l, 1, 5)
			f := follow(t, l, ids[3])
			f.want("5")
			rewind(t, p, func() {
				hosttest.Eventually(t, "it is connected again", func() bool {
					_, err := l.Last(within(t, time.Second))
					return err == nil
				})
				ids = append(ids, publish(t, l, 6, 8)...)
			})
			again := publish(t, natslog.New(connect(t, p.url), "events"), 106, 110)
			if again[2] != ids[7] {
				t.Fatalf("the numbers were not used again, so this proves nothing: %q, %q", again, ids)
			}
			if how == "read" {
				wantRange(t, l, ids[4], 10, "gap 1 2 3 4 5 106 107 108 109 110")
			}
			if e := f.take(1)[0]; !e.Gap || epoch(e.ID) == epoch(ids[7]) {
				t.Fatalf("the next entry is %+v, want a gap of another epoch than %q", e, ids[7])
			}
			publish(t, l, 111, 111)
			f.want("111")
		})
	}
}

// A server that changes the subject of what is added has not lost it.
func TestOtherSubject(t *testing.T) {
	t.Parallel()
	l, _ := open(t, natslog.WithStream(func(c *jetstream.StreamConfig) {
		c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "events.>", Destination: "events.all.>"}
	}))
	before := last(t, l)
	publish(t, l, 1, 3)
	got := wantRange(t, l, before, 10, "1 2 3")
	if got[0].Topic != "all.t" || epoch(got[0].ID) != epoch(before) {
		t.Errorf("got %+v, want the topic %q, and the epoch of %q", got[0], "all.t", before)
	}
	follow(t, l, before).want("1 2 3")
}

// A client is in the middle of the stream when the stream loses its end: it is told once,
// and then gets what is held once.
func TestLostEndWhilePaging(t *testing.T) {
	t.Parallel()
	const n = 1000
	p := spawn(t)
	l := natslog.New(connect(t, p.url), "events")
	h := hub.New(hub.WithLog(l), hub.WithMaxEvents(50))
	t.Cleanup(func() {
		if err := h.Shutdown(within(t, patience)); err != nil {
			t.Error(err)
		}
	})
	hosttest.Eventually(t, "the hub is ready", func() bool { return h.Healthy() == nil })
	begin := h.LastID()
	publish(t, l, 1, n)
	ctx := within(t, 2*patience)
	events, goOn := make(chan core.Event, 3*n), make(chan struct{})
	go func() {
		defer close(events)
		for e, err := range h.SubscribeFrom(ctx, hub.After(begin), "t") {
			if err != nil {
				t.Errorf("the stream ends with %v", err)
				return
			}
			if len(events) == 300 {
				<-goOn
			}
			events <- e
			if e.Data == "-1" {
				return
			}
		}
	}()
	hosttest.Eventually(t, "it is in the middle", func() bool { return len(events) == 300 })
	rewind(t, p, func() {
		hosttest.Eventually(t, "the hub has what will be lost", func() bool {
			id, err := l.Append(ctx, hub.Entry{Topic: "t", Event: core.Event{Data: "lost"}})
			return err == nil && h.LastID() == id
		})
	})
	close(goOn)
	hosttest.Eventually(t, "it can be published again", func() bool {
		_, err := l.Append(ctx, hub.Entry{Topic: "t", Event: core.Event{Data: "-1"}})
		return err == nil
	})
	gaps, next := 0, 1
	for e := range events {
		switch number, err := strconv.Atoi(e.Data); {
		case e.Type == "gap":
			gaps++
			if bytes.Contains([]byte(e.Data), []byte(hub.GapRestarted)) {
				next = 1
			}
		case err != nil || number != next && number != -1:
			t.Fatalf("got event %q after %d gaps, want %d", e.Data, gaps, next)
		default:
			next++
		}
	}
	if gaps != 1 {
		t.Errorf("got %d gaps, want 1", gaps)
	}
}

// A server that comes back without its data has another stream, whose numbers a publisher
// that was only disconnected has not seen. No ID is given twice.
func TestPublishToAnotherStream(t *testing.T) {
	t.Parallel()
	p := spawn(t)
	l := natslog.New(connect(t, p.url), "events")
	before := publish(t, l, 1, 3)
	p.kill()
	p.dir = t.TempDir()
	p.start()
	later := publish(t, natslog.New(connect(t, p.url), "events"), 4, 8)
	var id string
	hosttest.Eventually(t, "the publisher is back", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		id, err = l.Append(ctx, hub.Entry{Topic: "t", Event: core.Event{Data: "9"}})
		return err == nil
	})
	if epoch(id) != epoch(later[0]) || epoch(id) == epoch(before[0]) {
		t.Errorf("got the ID %q, want one of the epoch of %q, and not of %q", id, later[0], before[0])
	}
}

// The stream is replaced after the follower has looked at it, and before it has a consumer.
func TestReplacedBeforeFollowed(t *testing.T) {
	t.Parallel()
	url, s := runServer(t, server.Options{JetStream: true}).ClientURL(), new(sieve)
	js := connect(t, url)
	l := natslog.New(connect(t, url, nats.SetCustomDialer(s)), "events")
	ids := publish(t, l, 1, 3)
	replaced := false
	s.mu.Lock()
	s.drops = func(message []byte) bool {
		if !replaced && bytes.Contains(message, []byte("stream_info_response")) {
			replaced = true
			if err := js.DeleteStream(within(t, patience), "events"); err != nil {
				t.Error(err)
			}
			last(t, natslog.New(js, "events")) // makes another one
		}
		return false
	}
	s.mu.Unlock()
	if err := follow(t, l, ids[2]).fails(); err == nil || !strings.Contains(err.Error(), "the stream has begun again") {
		t.Errorf("got %v, want an error that says that the stream has begun again", err)
	}
	f := follow(t, l, ids[2])
	f.want("gap")
	publish(t, l, 4, 4)
	f.want("4")
}
