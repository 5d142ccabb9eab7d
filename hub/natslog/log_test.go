package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

const patience = time.Minute

// publish appends numbered events to the topic "t".
func publish(t testing.TB, l *natslog.Log, first, last int) (ids []string) {
	t.Helper()
	for i := first; i <= last; i++ {
		id, err := l.Append(within(t, patience), hub.Entry{Topic: "t", Event: core.Event{Data: fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// brief describes entries: their data, "|" for a position, "gap".
func brief(entries []hub.Entry) string {
	words := make([]string, len(entries))
	for i, e := range entries {
		switch {
		case e.Gap:
			words[i] = "gap"
		case e.Topic == "":
			words[i] = "|"
		default:
			words[i] = e.Event.Data
		}
	}
	return strings.Join(words, " ")
}

// A tail follows a log, without the heartbeats, and again after an error, as a hub does.
type tail struct {
	t     testing.TB
	log   *natslog.Log
	after string
	ctx   context.Context //nolint:containedctx // it ends what is followed
	next  func() (hub.Entry, error, bool)
	stop  func()
}

func follow(t testing.TB, l *natslog.Log, after string) *tail {
	t.Helper()
	f := &tail{t: t, log: l, after: after, ctx: within(t, patience)}
	f.next, f.stop = iter.Pull2(l.Follow(f.ctx, after))
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *tail) take(n int) []hub.Entry {
	f.t.Helper()
	var entries []hub.Entry
	for len(entries) < n {
		e, err, ok := f.next()
		switch {
		case f.ctx.Err() != nil:
			f.t.Fatalf("after %q: the end, %v", brief(entries), err)
		case err != nil || !ok:
			f.stop()
			f.next, f.stop = iter.Pull2(f.log.Follow(f.ctx, f.after))
		case e.ID != "":
			entries = append(entries, e)
			f.after = e.ID
		}
	}
	return entries
}

// fails returns the error that ends Follow.
func (f *tail) fails() error {
	f.t.Helper()
	for range 100 {
		_, err, ok := f.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
	}
	f.t.Fatal("Follow did not end with an error")
	return nil
}

func (f *tail) want(want string) {
	f.t.Helper()
	if got := brief(f.take(len(strings.Fields(want)))); got != want {
		f.t.Errorf("followed %q, want %q", got, want)
	}
}

func wantRange(t testing.TB, l *natslog.Log, after string, n int, want string) []hub.Entry {
	t.Helper()
	got, err := l.Range(within(t, patience), after, n)
	if err != nil {
		t.Fatal(err)
	}
	if brief(got) != want {
		t.Errorf("after %q there is %q, want %q", after, brief(got), want)
	}
	return got
}

func last(t testing.TB, l *natslog.Log) string {
	t.Helper()
	id, err := l.Last(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestEntries(t *testing.T) {
	l, js := open(t)
	entries := []hub.Entry{
		{Topic: "plain", Event: core.Event{Data: "data"}},
		{Topic: "orders.eu.1207", Event: core.Event{Type: "price", Data: `{"a": 1}`, Retry: 1500 * time.Millisecond}},
		{Topic: "a b.%20.%.c  d", Event: core.Event{Data: "blanks"}},
		{Topic: "价格.Ä.$x", Event: core.Event{Type: "größe 大", Data: "多\nlines\n"}},
		{Topic: "t", Event: core.Event{Comment: "one\ntwo: \r three %"}},
		{Topic: "t", Event: core.Event{Type: " blanks ", Data: " x "}, Key: " key\nwith: all\x00", Keyed: true},
		{Topic: "t", Event: core.Event{Data: ""}, Key: "", Keyed: true},
		{Topic: "t", Topics: []string{"a", "b c"}, Attributes: hub.Attributes{"region": "eu\n\x00", "": "é"}},
	}
	f := follow(t, l, "")
	begin := f.take(1)[0]
	if begin.Topic != "" || begin.Gap || begin.ID != last(t, l) {
		t.Errorf("the first entry is %+v, want a position at %q", begin, last(t, l))
	}
	before := time.Now()
	for i := range entries {
		id, err := l.Append(within(t, patience), entries[i])
		if err != nil {
			t.Fatal(err)
		}
		entries[i].ID = id
	}
	read, err := l.Range(within(t, patience), begin.ID, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]hub.Entry{"followed": f.take(len(entries)), "read": read} {
		for i := range got {
			if d := got[i].Time.Sub(before); d < -time.Second || d > patience {
				t.Errorf("%s: the time is %v, want about %v", name, got[i].Time, before)
			}
			got[i].Time = time.Time{}
		}
		if !reflect.DeepEqual(got, entries) {
			t.Errorf("%s %+v\nwant %+v", name, got, entries)
		}
	}
	if err := js.Conn().Publish("events.other", []byte("by nats pub")); err != nil {
		t.Fatal(err)
	}
	if got := f.take(1)[0]; got.Topic != "other" || got.Event != (core.Event{Data: "by nats pub"}) {
		t.Errorf("the event of another program is %+v", got)
	}
	wrong := &nats.Msg{Subject: "events.other", Data: []byte("x"), Header: nats.Header{"Event-Attributes": {"[]"}}}
	if err := js.Conn().PublishMsg(wrong); err != nil {
		t.Fatal(err)
	}
	if got := f.take(1)[0]; got.Topic != "" || got.Event != (core.Event{}) || got.Gap || got.ID == "" {
		t.Errorf("an event whose attributes cannot be read is %+v, want a position", got)
	}
}

func TestRange(t *testing.T) {
	l, js := open(t)
	wantRange(t, l, "", 10, "|")
	ids := publish(t, l, 1, 10)
	wantRange(t, l, "", 3, "| 1 2 3")
	wantRange(t, l, ids[3], 4, "5 6 7 8")
	wantRange(t, l, ids[3], 100, "5 6 7 8 9 10")
	wantRange(t, l, ids[9], 100, "")

	s, err := js.Stream(within(t, patience), "events")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(within(t, patience), 7); err != nil {
		t.Fatal(err)
	}
	wantRange(t, l, ids[3], 100, "5 6") // the gap comes with the next page
	wantRange(t, l, ids[5], 100, "gap 8 9 10")

	if err := s.Purge(within(t, patience), jetstream.WithPurgeSequence(5)); err != nil {
		t.Fatal(err)
	}
	wantRange(t, l, ids[3], 2, "5 6")
	if got := wantRange(t, l, ids[2], 2, "gap 5 6"); got[0].ID != ids[3] {
		t.Errorf("the gap is through %q, want %q", got[0].ID, ids[3])
	}
	wantRange(t, l, "", 2, "| 5 6")

	if err := s.Purge(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := wantRange(t, l, ids[5], 2, "gap"); got[0].ID != ids[9] {
		t.Errorf("the gap is through %q, want %q", got[0].ID, ids[9])
	}
	wantRange(t, l, ids[9], 2, "")
	if last(t, l) != ids[9] {
		t.Errorf("the last ID is %q, want %q", last(t, l), ids[9])
	}
	publish(t, l, 11, 12)
	wantRange(t, l, ids[9], 2, "11 12")
	wantRange(t, l, ids[8], 2, "gap 11 12")

	for _, id := range []string{"x", "abcdefgh-", "abcdefgh-01", "abcdefgh--1", "ABCDEFGH-1", "abcdefgh-18446744073709551616", "1-1"} {
		if _, err := l.Range(within(t, patience), id, 1); err == nil {
			t.Errorf("%q was taken for an ID", id)
		}
	}
}

// A page is also bounded by its bytes.
func TestRangeBytes(t *testing.T) {
	l, _ := open(t)
	for range 8 {
		_, err := l.Append(within(t, patience), hub.Entry{Topic: "t", Event: core.Event{Data: strings.Repeat("x", 400<<10)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	after, pages := "", 0
	for got := 0; got < 8; pages++ {
		entries, err := l.Range(within(t, patience), after, 100)
		if err != nil || len(entries) == 0 {
			t.Fatalf("%d events, then %v", got, err)
		}
		for _, e := range entries {
			if e.Topic != "" {
				got++
			}
			after = e.ID
		}
	}
	if pages < 2 {
		t.Errorf("3 MiB came in %d pages", pages)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	l, js := open(t)
	f := follow(t, l, "")
	f.want("|")
	ids := publish(t, l, 1, 10)
	f.want("1 2 3 4 5 6 7 8 9 10")
	old := follow(t, l, ids[4])
	old.want("6 7 8 9 10")
	if e, err, ok := f.next(); err != nil || !ok || !reflect.DeepEqual(e, hub.Entry{}) {
		t.Errorf("a silent log yields %+v, %v, want the zero Entry", e, err)
	}

	s, err := js.Stream(within(t, patience), "events")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(within(t, patience), jetstream.WithPurgeSequence(5)); err != nil {
		t.Fatal(err)
	}
	follow(t, l, ids[2]).want("gap 5 6 7 8 9 10")
	follow(t, l, ids[3]).want("5 6 7 8 9 10")
	if err := s.DeleteMsg(within(t, patience), 7); err != nil {
		t.Fatal(err)
	}
	follow(t, l, ids[4]).want("6 gap 8 9 10")
	if err := s.Purge(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	slow := follow(t, l, ids[8])
	slow.want("gap")
	publish(t, l, 11, 11)
	slow.want("11")
	f.want("11")
}

func TestFollowEnds(t *testing.T) {
	l, _ := open(t)
	publish(t, l, 1, 3)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	reason := errors.New("enough")
	for e, err := range l.Follow(ctx, "") {
		if err != nil {
			if !errors.Is(err, reason) {
				t.Errorf("Follow ended with %v, want %v", err, reason)
			}
			continue
		}
		if e.ID == "" {
			t.Fatal("Follow did not end with its context")
		}
		cancel(reason)
	}
	for _, err := range l.Follow(context.Background(), "") {
		if err != nil {
			t.Error(err)
		}
		break // and nothing is left behind: see TestMain
	}
}

func TestTrim(t *testing.T) {
	l, _ := open(t, natslog.WithMaxEvents(5))
	ids := publish(t, l, 1, 20)
	wantRange(t, l, "", 10, "| 16 17 18 19 20")
	wantRange(t, l, ids[10], 10, "gap 16 17 18 19 20")
	follow(t, l, ids[10]).want("gap 16 17 18 19 20")
}

func TestIdempotency(t *testing.T) {
	l, _ := open(t, natslog.WithMaxAge(time.Minute), natslog.WithIdempotencyWindow(time.Hour), nil)
	e := hub.Entry{Topic: "t", Event: core.Event{Data: "once"}, IdempotencyKey: "key 1\u00e4"}
	first, err := l.Append(within(t, patience), e)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, l, 1, 1)
	again, err := l.Append(within(t, patience), e)
	if err != nil || again != first {
		t.Errorf("the second ID is %q, %v, want %q", again, err, first)
	}
	wantRange(t, l, "", 10, "| once 1")
}

func TestCompare(t *testing.T) {
	l, _ := open(t)
	ids := publish(t, l, 1, 11)
	for _, test := range []struct {
		a, b string
		want int
		err  error
	}{
		{ids[0], ids[1], -1, nil},
		{ids[10], ids[8], 1, nil},
		{ids[2], ids[2], 0, nil},
		{"aaaaaaaa-1", ids[2], 0, hub.ErrOtherEpoch},
		{ids[2], "aaaaaaaa-1", 0, hub.ErrOtherEpoch},
		{"aaaaaaaa-1", "aaaaaaaa-1", 0, hub.ErrOtherEpoch},
	} {
		if got, err := l.Compare(test.a, test.b); got != test.want || err != test.err {
			t.Errorf("%q and %q: %d, %v, want %d, %v", test.a, test.b, got, err, test.want, test.err)
		}
	}
	if _, err := l.Compare(ids[0], "nonsense"); err == nil || errors.Is(err, hub.ErrOtherEpoch) {
		t.Errorf("Compare with nonsense: got %v", err)
	}
}

// A stream that was deleted and created again has another epoch.
func TestRecreated(t *testing.T) {
	t.Parallel()
	l, js := open(t)
	ids := publish(t, l, 1, 5)
	f := follow(t, l, ids[3])
	f.want("5")
	if err := js.DeleteStream(within(t, patience), "events"); err != nil {
		t.Fatal(err)
	}
	later := publish(t, l, 6, 7)
	if epoch(later[0]) == epoch(ids[0]) {
		t.Errorf("%q and %q are of one epoch", later[0], ids[0])
	}
	if err := f.fails(); err == nil {
		t.Error("Follow ended without an error")
	}
	follow(t, l, ids[4]).want("gap 6 7")
	wantRange(t, l, ids[0], 10, "gap 6 7")
	if _, err := l.Compare(ids[0], later[0]); err != hub.ErrOtherEpoch {
		t.Errorf("the error is %v, want ErrOtherEpoch", err)
	}
}

func epoch(id string) string {
	before, _, _ := strings.Cut(id, "-")
	return before
}

// rewind restores the stream as it was at that sequence number, with the same creation
// time, as a server that has lost power may do.
func rewind(t *testing.T, p *process, between func()) {
	t.Helper()
	p.kill()
	saved := t.TempDir()
	if err := os.CopyFS(saved, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	p.start()
	between()
	p.kill()
	p.dir = saved
	p.start()
}

func TestLostEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		others int // events that another process adds before this one is back
		want   string
	}{
		{"none", 0, "gap"},
		{"fewer than it had", 1, "gap"},
		{"as many", 3, "gap"},
		{"more", 5, "gap"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := spawn(t)
			l := natslog.New(connect(t, p.url), "events")
			ids := publish(t, l, 1, 5)
			f := follow(t, l, ids[3])
			f.want("5")
			rewind(t, p, func() {
				_ = f.fails()
				ids = append(ids, publish(t, l, 6, 8)...)
				again := follow(t, l, ids[4])
				again.want("6 7 8")
			})
			other := natslog.New(connect(t, p.url), "events")
			lost := publish(t, other, 100, 99+test.others)
			back := follow(t, l, ids[7])
			if e := back.take(1)[0]; !e.Gap || epoch(e.ID) == epoch(ids[7]) {
				t.Fatalf("the next entry is %+v, want a gap of another epoch than %q", e, ids[7])
			}
			live := publish(t, l, 1000, 1000)
			entries := back.take(1)
			if entries[0].Event.Data != "1000" || entries[0].ID != live[0] {
				t.Errorf("then %+v, want the event %q", entries, live)
			}
			if len(lost) > 0 && !slices.Contains(lost, ids[5]) {
				t.Errorf("the numbers were not used again, so this proves nothing: %q, %q", lost, ids)
			}
			if got, err := l.Range(within(t, patience), ids[7], 1); err != nil || len(got) == 0 || !got[0].Gap {
				t.Errorf("a page after the lost end is %+v, %v, want a gap first", got, err)
			}
		})
	}
}

// A reader of pages notices as well, when another process has used the number of the lost
// event again.
func TestLostEndRange(t *testing.T) {
	p := spawn(t)
	l := natslog.New(connect(t, p.url), "events")
	ids := publish(t, l, 1, 3)
	rewind(t, p, func() {
		ids = append(ids, publish(t, l, 4, 4)...)
		follow(t, l, ids[2]).want("4")
	})
	again := publish(t, natslog.New(connect(t, p.url), "events"), 100, 100)
	if again[0] != ids[3] {
		t.Fatalf("the number was not used again, so this proves nothing: %q, %q", again, ids)
	}
	if got := wantRange(t, l, ids[1], 10, "gap 1 2 3 100"); epoch(got[0].ID) == epoch(ids[3]) {
		t.Errorf("the page is of the earlier epoch: %+v", got)
	}
}

// A publisher also notices.
func TestLostEndAppend(t *testing.T) {
	p := spawn(t)
	l := natslog.New(connect(t, p.url), "events")
	ids := publish(t, l, 1, 5)
	rewind(t, p, func() { ids = append(ids, publish(t, l, 6, 8)...) })
	later := publish(t, l, 100, 101)
	if epoch(later[0]) == epoch(ids[0]) {
		t.Errorf("%q has the ID %q, but is not that event", "100", later[0])
	}
	wantRange(t, l, later[0], 10, "101")
	wantRange(t, l, ids[6], 10, "gap 1 2 3 4 5 100 101")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	js := func(o server.Options, opts ...nats.Option) func(*testing.T) jetstream.JetStream {
		return func(t *testing.T) jetstream.JetStream { return connect(t, runServer(t, o).ClientURL(), opts...) }
	}
	user := func(deny ...string) *server.User {
		p := &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{">"}, Deny: deny},
			Subscribe: &server.SubjectPermission{Allow: []string{">"}},
		}
		return &server.User{Username: "u", Password: "secret", Permissions: p}
	}
	for _, test := range []struct {
		name string
		js   func(t *testing.T) jetstream.JetStream
		data string
		opts []natslog.Option
		want []string
	}{
		{"no JetStream", js(server.Options{}), "x", nil, []string{"JetStream", "127.0.0.1", "-js"}},
		{
			"no permission to publish",
			js(server.Options{JetStream: true, Users: []*server.User{user("events.>")}}, nats.UserInfo("u", "secret")),
			"x", nil, []string{"Permissions Violation", "events.t"},
		},
		{
			"no permission for the stream",
			js(server.Options{JetStream: true, Users: []*server.User{user("$JS.API.>")}}, nats.UserInfo("u", "secret")),
			"x", nil, []string{"Permissions Violation", "$JS.API.STREAM.INFO.events"},
		},
		{
			"too large", js(server.Options{JetStream: true, MaxPayload: 1000}),
			strings.Repeat("x", 1001), nil, []string{"1000", "max_payload"},
		},
		{
			"full", js(server.Options{JetStream: true}), strings.Repeat("x", 2000),
			[]natslog.Option{natslog.WithStream(func(c *jetstream.StreamConfig) {
				c.MaxBytes, c.Discard = 1000, jetstream.DiscardNew
			})},
			[]string{"maximum bytes exceeded"},
		},
		{
			"too many replicas", js(server.Options{JetStream: true}), "x",
			[]natslog.Option{natslog.WithReplicas(3)}, []string{"replicas"},
		},
		{
			"other subjects",
			func(t *testing.T) jetstream.JetStream {
				js := js(server.Options{JetStream: true})(t)
				makeStream(t, js, jetstream.StreamConfig{Name: "events", Subjects: []string{"other.>"}})
				return js
			},
			"x", nil, []string{`does not accept "events.t"`},
		},
		{
			"another stream's subjects",
			func(t *testing.T) jetstream.JetStream {
				js := js(server.Options{JetStream: true})(t)
				makeStream(t, js, jetstream.StreamConfig{Name: "events", Subjects: []string{"other.>"}})
				makeStream(t, js, jetstream.StreamConfig{Name: "elsewhere", Subjects: []string{"events.>"}})
				return js
			},
			"x", nil, []string{`belongs to the stream "elsewhere"`},
		},
		{
			"no server",
			func(t *testing.T) jetstream.JetStream {
				s := runServer(t, server.Options{JetStream: true, Username: "u", Password: "secret"})
				js := connect(t, strings.Replace(s.ClientURL(), "//", "//u:secret@", 1),
					nats.ReconnectWait(time.Hour)) // it cannot be asked while it tries
				s.Shutdown()
				s.WaitForShutdown()
				return js
			},
			"x", nil, []string{"not connected to nats://127.0.0.1"},
		},
		{
			"wrong password",
			func(t *testing.T) jetstream.JetStream {
				s := runServer(t, server.Options{JetStream: true, Username: "u", Password: "secret"})
				js := connect(t, s.ClientURL(), nats.UserInfo("u", "wrong"), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
					nats.CustomReconnectDelay(func(attempts int) time.Duration { // it cannot be asked while it tries
						return time.Duration(attempts-1) * time.Hour
					}))
				hosttest.Eventually(t, "the error of an attempt", func() bool { return js.Conn().LastError() != nil })
				return js
			},
			"x", nil, []string{"not connected to nats://127.0.0.1", "Authorization Violation"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := natslog.New(test.js(t), "events", test.opts...)
			err := appendWithin(t, l, time.Second, test.data)
			lacks := func(want string) bool { return !strings.Contains(err.Error(), want) }
			if slices.ContainsFunc(test.want, lacks) { // the machine may be busy
				err = appendWithin(t, l, patience/2, test.data)
			}
			for _, want := range append(test.want, `natslog: append, stream "events": `) {
				if lacks(want) {
					t.Errorf("the error is %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error contains the password: %q", err)
			}
			t.Log(err)
		})
	}
}

func deadline(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}

// appendWithin returns the error of an event that is not appended.
func appendWithin(t *testing.T, l *natslog.Log, d time.Duration, data string) error {
	t.Helper()
	ctx := within(t, d)
	_, err := l.Append(ctx, hub.Entry{Topic: "t", Event: core.Event{Data: data}})
	if late := time.Since(deadline(ctx)); late > patience {
		t.Errorf("it returned %v after the deadline", late)
	}
	if err == nil {
		t.Fatal("the event was appended")
	}
	return err
}

func makeStream(t testing.TB, js jetstream.JetStream, c jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	s, err := js.CreateStream(within(t, patience), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Markers of the server, where messages have become too old, are not events. What is missing
// before a marker is a gap. A marker by itself is not.
func TestMarkers(t *testing.T) {
	t.Parallel()
	l, js := open(t)
	c := jetstream.StreamConfig{
		Name: "events", Subjects: []string{"events.>"}, AllowDirect: true,
		MaxAge: time.Hour, AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute,
	}
	makeStream(t, js, c)
	keep := func(d time.Duration) {
		t.Helper()
		c.MaxAge = d
		if _, err := js.UpdateStream(within(t, patience), c); err != nil {
			t.Fatal(err)
		}
	}
	live := follow(t, l, last(t, l))
	ids := publish(t, l, 1, 3)
	live.want("1 2 3")
	keep(time.Second)
	live.want("|")
	keep(time.Hour) // what follows is read before it is too old, however slow the machine is
	wantRange(t, l, ids[2], 10, "|")
	wantRange(t, l, ids[0], 10, "gap |")
	follow(t, l, ids[0]).want("gap |")
	h := hub.New(hub.WithLog(l))
	defer func() {
		if err := h.Shutdown(within(t, patience)); err != nil {
			t.Error(err)
		}
	}()
	if _, err := h.Publish(within(t, patience), "t", core.Event{Data: "4"}); err != nil {
		t.Fatal(err)
	}
	for e, err := range h.SubscribeFrom(within(t, patience), hub.After(ids[2]), "t") {
		if err != nil || e.Data != "4" {
			t.Errorf("got %+v, %v, want event 4", e, err)
		}
		break
	}
}

// The error says what is missing in a stream that another program has created.
func TestNoDirectAccess(t *testing.T) {
	l, js := open(t)
	makeStream(t, js, jetstream.StreamConfig{Name: "events", Subjects: []string{"events.>"}})
	publish(t, l, 1, 1)
	_, err := l.Range(within(t, patience), "", 1)
	if err == nil || !strings.Contains(err.Error(), "allow_direct") {
		t.Errorf("the error is %v, want one about allow_direct", err)
	}
}

// The answer is lost with the connection: the error says so, and the event is there
// once. With its key it can be published again.
func TestSentOnce(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "key"} {
		t.Run(fmt.Sprintf("key %q", key), func(t *testing.T) {
			s := runServer(t, server.Options{JetStream: true})
			p := hubtest.NewProxy(t, strings.TrimPrefix(s.ClientURL(), "nats://"))
			js := connect(t, "nats://"+p.Addr)
			l, direct := natslog.New(js, "events"), natslog.New(connect(t, s.ClientURL()), "events")
			before := publish(t, l, 1, 1)
			p.Stall(false, true)
			e := hub.Entry{Topic: "t", Event: core.Event{Data: "2"}, IdempotencyKey: key}
			ctx, giveUp := context.WithCancel(within(t, patience))
			ended := make(chan error, 1)
			go func() {
				_, err := l.Append(ctx, e)
				ended <- err
			}()
			hosttest.Eventually(t, "the server has the event", func() bool { return last(t, direct) != before[0] })
			p.Cut()
			p.Resume()
			hosttest.Eventually(t, "it is connected again", func() bool {
				return js.Conn().Stats().Reconnects > 0 && js.Conn().FlushWithContext(ctx) == nil
			})
			giveUp()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want that it has given up", err)
			}
			sent := last(t, direct)
			if key != "" {
				if id, err := l.Append(within(t, patience), e); err != nil || id != sent {
					t.Errorf("the second time it is %q, %v, want %q", id, err, sent)
				}
			}
			publish(t, l, 3, 3)
			wantRange(t, direct, before[0], 10, "2 3")
		})
	}
}

// A server that was started again knows the keys of the events that it still has, and
// no others.
func TestIdempotencyRestarted(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]bool{"held": true, "dropped": false} {
		t.Run(name, func(t *testing.T) {
			p := spawn(t)
			l := natslog.New(connect(t, p.url), "events")
			e := hub.Entry{Topic: "t", Event: core.Event{Data: "once"}, IdempotencyKey: "key"}
			first, err := l.Append(within(t, patience), e)
			if err != nil {
				t.Fatal(err)
			}
			if !held {
				change(t, p, func(ctx context.Context, s jetstream.Stream) error { return s.Purge(ctx) })
			}
			p.kill()
			p.start()
			again, err := l.Append(within(t, patience), e)
			if err != nil || (again == first) != held {
				t.Errorf("first %q, then %q, %v; want the same: %v", first, again, err, held)
			}
		})
	}
}
