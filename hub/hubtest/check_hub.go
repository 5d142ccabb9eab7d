package hubtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// Three processes publish at once. All subscribers, at all of them, get the same.
func checkOrder(f *fixture) {
	const each = 200
	hubs := f.three()
	var clients []*client
	for i, h := range hubs {
		for decoded := range 2 {
			c := f.client("a", "b.*", "end")
			c.decoded = decoded == 1
			c.connect(hubs[i], hub.After(h.LastID()))
			clients = append(clients, c)
		}
	}
	var publishers sync.WaitGroup
	ids := make([][]string, len(hubs))
	for i, h := range hubs {
		publishers.Go(func() {
			for n := range each {
				topic := []string{"a", "b.1", "b.2"}[n%3]
				ids[i] = append(ids[i], f.publish(h, topic, fmt.Sprint(i, n)))
			}
		})
	}
	publishers.Wait()
	end := f.publish(hubs[0], "end", "")
	clients[0].until(end)
	if got, want := len(clients[0].seen), 3*each+1; got != want {
		f.Fatalf("got %d events, want %d", got, want)
	}
	for _, c := range clients[1:] {
		for i, want := range clients[0].seen {
			if got := c.event(); got != want {
				f.Fatalf("event %d: one client got %+v, another %+v", i, got, want)
			}
		}
	}
	if err := f.judge(clients[0], f.inOrder(), ""); err != nil {
		f.Error(err)
	}
	for i := range hubs {
		for n := 1; n < each; n++ {
			if f.compare(ids[i][n-1], ids[i][n]) >= 0 {
				f.Fatalf("hub %d published %s, and then %s, which is not a later ID", i, ids[i][n-1], ids[i][n])
			}
		}
	}
}

var idForm = regexp.MustCompile(`^[0-9A-Za-z._~-]{1,100}$`)

// Everything in an event comes out as it went in, from memory and from the log.
func checkEvents(f *fixture) {
	events := []core.Event{
		{Data: "plain"},
		{},
		{Type: "add", Data: "two\nlines", Retry: 1500 * time.Millisecond, Comment: "a comment"},
		{Data: "\u00e4\u4e16\U0001f600 \x00\x01 <&>\" \n\n "},
		{Data: strings.Repeat("0123456789", 20_000)},
		{Retry: time.Second},
		{Type: "", Data: " begins with a space"},
	}
	h, other := f.open(), f.open()
	begin := h.LastID()
	live := f.join(other, "a")
	var ids []string
	for _, e := range events {
		id, err := h.Publish(f.soon(), "a", e)
		if err != nil {
			f.Fatal(err)
		}
		if !idForm.MatchString(id) {
			f.Errorf("got ID %q, want a short one of [0-9A-Za-z._~-]", id)
		}
		ids = append(ids, id)
	}
	fresh := f.client("a")
	fresh.connect(f.open(), hub.After(begin))
	for i, want := range events {
		want.ID = ids[i]
		for _, c := range []*client{live, fresh} {
			if got := c.event(); got != want {
				f.Errorf("got %.200q, want %.200q", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
			}
		}
	}
}

var (
	lastDigits = regexp.MustCompile(`[0-9]+$`)
	numbers    = regexp.MustCompile(`-[0-9]+`)
)

// beyond returns an ID that the log has not given yet, but may some day.
func beyond(id, digits string) string {
	epoch, _, _ := strings.Cut(id, "-")
	return epoch + numbers.ReplaceAllString(strings.TrimPrefix(id, epoch), "-"+digits)
}

// A client may come with any ID to any process.
func checkResume(f *fixture) {
	hubs := f.three()
	foreign := start(f.T, f.backend)
	otherEpoch := foreign.publish(foreign.open(), "a", "foreign")
	beginning := hubs[0].LastID()
	ids := []string{beginning}
	for n := 1; n <= 5; n++ {
		ids = append(ids, f.publish(hubs[n%3], "a", fmt.Sprint(n)))
	}
	f.caughtUp(ids[5], hubs...)
	hubs = append(hubs, f.open()) // this one has nothing in memory
	for _, test := range []struct {
		name, id string
		from     hub.Position
		gap      hub.GapReason
		after    int // the event before the next one
	}{
		{"new", "", hub.Now, "", 5},
		{"new, from the oldest", "", hub.Oldest, "", 0},
		{"new, from an ID", "", hub.After(ids[2]), "", 2},
		{"the newest", ids[5], hub.Now, "", 5},
		{"the newest, although it would begin with the oldest", ids[5], hub.Oldest, "", 5},
		{"one before", ids[4], hub.Now, "", 4},
		{"one", ids[1], hub.Now, "", 1},
		{"the beginning", ids[0], hub.Now, "", 0},
		{"of another epoch", otherEpoch, hub.Now, hub.GapRestarted, 0},
		{"of another epoch, though another ID is known", otherEpoch, hub.After(ids[3]), hub.GapRestarted, 0},
		{"rubbish", "rubbish", hub.Now, hub.GapUnknown, 5},
		{"rubbish that is not ASCII", "na\u00efve-5", hub.Now, hub.GapUnknown, 5},
		{"rubbish, from the oldest", "rubbish", hub.Oldest, hub.GapUnknown, 0},
		{"rubbish, from an ID", "rubbish", hub.After(ids[2]), hub.GapUnknown, 2},
		{"a pattern", "*", hub.Now, hub.GapUnknown, 5},
		{"new, from a pattern", "", hub.After("*"), hub.GapUnknown, 5},
		{"a number", "5", hub.Now, hub.GapUnknown, 5},
		{"more after it", ids[3] + "-3", hub.Now, hub.GapUnknown, 5},
		{"a part of it", lastDigits.ReplaceAllString(ids[3], ""), hub.Now, hub.GapUnknown, 5},
		{"beyond the newest", beyond(ids[5], "999999999999999999"), hub.Now, hub.GapUnknown, 5},
		{"beyond 64 bits", beyond(ids[5], "99999999999999999999"), hub.Now, hub.GapUnknown, 5},
	} {
		for i, h := range hubs {
			for decoded := range 2 {
				c := f.client("a")
				c.cursor, c.decoded = test.id, decoded == 1
				c.connect(h, test.from)
				last := len(ids) - 1
				ids = append(ids, f.publish(h, "a", fmt.Sprint(last+1)))
				after := test.after
				if after == 5 && test.id != ids[5] {
					after = last // the newest now
				}
				if test.gap != "" {
					f.wantGap(c.event(), hub.Gap{Reason: test.gap, After: cmp.Or(test.id, "*"), Through: ids[after]})
				}
				for n := after + 1; n < len(ids); n++ {
					if e := c.event(); e.ID != ids[n] {
						f.Fatalf("%s, hub %d, decoded %d: got %s, want %s, number %d", test.name, i, decoded, e.ID, ids[n], n)
					}
				}
				c.leave()
				f.caughtUp(ids[last+1], hubs...)
			}
		}
	}
}

// wantGap checks a gap event. With a log, Through may be more than one ID.
func (f *fixture) wantGap(e core.Event, want hub.Gap) {
	f.Helper()
	gap, ok := gapOf(e)
	if !ok || gap.Reason != want.Reason || gap.After != want.After || gap.Through != e.ID ||
		f.log == nil && gap.Through != want.Through {
		f.Errorf("got %+v, want %+v", e, want)
	}
}

// The log has dropped events that a client has not had.
func checkResumeTrimmed(f *fixture) {
	f.needLog()
	f.need(f.server.Trim != nil, "Trim")
	h := f.open()
	ids := []string{h.LastID()}
	for n := 1; n <= 20; n++ {
		ids = append(ids, f.publish(h, "a", fmt.Sprint(n)))
	}
	f.server.Trim(5)
	fresh := f.open()
	for _, test := range []struct {
		name, id string
		from     hub.Position
		want     []string
	}{
		{"an ID that was dropped", ids[3], hub.Now, append([]string{"GAP:dropped"}, words(16, 20)...)},
		{"the beginning", ids[0], hub.Now, append([]string{"GAP:dropped"}, words(16, 20)...)},
		{"an ID that is held", ids[16], hub.Now, words(17, 20)},
		{"new, from the oldest", "", hub.Oldest, words(16, 20)},
		{"rubbish, from the oldest", "rubbish", hub.Oldest, append([]string{"GAP:unknown"}, words(16, 20)...)},
	} {
		c := f.client("a")
		c.cursor = test.id
		c.connect(fresh, test.from)
		c.want(test.want...)
		if gap, ok := gapOf(c.seen[0]); ok && (gap.After != test.id || gap.Through != c.seen[0].ID ||
			f.compare(gap.Through, ids[15]) < 0 || f.compare(gap.Through, ids[16]) >= 0) {
			f.Errorf("%s: got gap %+v, want one after %q, through %s", test.name, gap, test.id, ids[15])
		}
		c.leave()
	}
	c := f.client("a")
	c.cursor = ids[3]
	c.connect(f.open(), hub.Now)
	c.want("GAP:dropped")
	c.connect(f.open(), hub.Now) // the client is not told of the gap again
	c.want(words(16, 20)...)
	f.publish(h, "a", "next")
	c.want("next")
}

// A client comes with the ID of an event that has not come to this process yet.
func checkAhead(f *fixture) {
	f.needLog()
	h, other := f.open(), f.open()
	for n := range 200 {
		c := f.client(">")
		if n%2 == 0 {
			f.publish(h, "a", "before")
		}
		c.cursor = f.publish(h, "a", "seen")
		c.connect(other, hub.Now)
		f.publish(h, "b", fmt.Sprint(n))
		c.want(fmt.Sprint(n))
		c.leave()
	}
}

func checkPatterns(f *fixture) {
	hubs := f.three()
	begin := hubs[0].LastID()
	names := [][]string{{"a"}, {"a.*"}, {"a.>"}, {">"}, {"*"}, {"*.x", "a.*"}, {"b.x", "a.y.z", "*.*.z"}, {"none.*"}}
	topics := []string{"a", "b", "a.x", "a.y", "b.x", "a.y.z", "b.y.z", "end"}
	live := make([]*client, 0, len(names)*len(hubs))
	for _, h := range hubs {
		for _, of := range names {
			live = append(live, f.join(h, append([]string{"end"}, of...)...))
		}
	}
	end := ""
	for i, topic := range topics {
		end = f.publish(hubs[i%3], topic, "1")
	}
	log := f.inOrder()
	clients := live
	for _, h := range append(hubs, f.open()) {
		for _, of := range names {
			c := f.client(append([]string{"end"}, of...)...)
			c.connect(h, hub.After(begin))
			clients = append(clients, c)
		}
	}
	for _, c := range clients {
		c.until(end)
		if err := f.judge(c, log, begin); err != nil {
			f.Errorf("client of %v: %v", c.names, err)
		}
		c.leave()
	}
}

// The last event of a key always comes, and no event after a later one of its key.
func checkKeys(f *fixture) {
	hubs := f.three()
	begin := hubs[0].LastID()
	live := f.join(hubs[1], ">")
	note := func(topic, key string, n int) {
		data := fmt.Sprintf("%s %s %d", topic, key, n)
		id, err := hubs[n%3].Publish(f.soon(), topic, core.Event{Data: data}, hub.WithKey(key))
		if err != nil {
			f.Fatal(err)
		}
		f.note(message{id, topic, "key " + key, data})
	}
	for n := range 300 {
		note("p", fmt.Sprint(n%3), n)
		note("q", "", n)
		if n%100 == 0 {
			f.publish(hubs[0], "p", fmt.Sprint("plain", n))
		}
	}
	end := f.publish(hubs[0], "end", "")
	f.caughtUp(end, hubs...)
	late := f.client(">")
	late.connect(hubs[2], hub.After(begin)) // in memory
	late.until(end)
	late.leave()
	if got, want := len(late.seen), 3+1+3+1; got != want {
		f.Errorf("got %d events from memory, want %d: only the last of each key", got, want)
	}
	few := f.client("p")
	for n := range 5 {
		note("p", "few", 300+n)
	}
	few.cursor = end
	few.connect(f.open(), hub.Now) // in one page
	few.want("304")
	end = f.publish(hubs[0], "end", "")
	paged := f.client(">")
	paged.connect(f.open(), hub.After(begin)) // in several
	log := f.inOrder()
	for _, c := range []*client{late, live, paged} {
		if c != late {
			c.until(end)
		}
		if err := f.judge(c, log, begin); err != nil {
			f.Error(err)
		}
	}
}

func checkIdempotency(f *fixture) {
	hubs := f.three()
	c := f.join(hubs[2], "a", "a.*")
	id, err := hubs[0].Publish(f.soon(), "a", core.Event{Data: "first"}, hub.WithIdempotencyKey("once"))
	if err != nil {
		f.Fatal(err)
	}
	again, err := hubs[1].Publish(f.soon(), "a", core.Event{Data: "again"}, hub.WithIdempotencyKey("once"))
	if again != id || err != nil {
		f.Errorf("published again: got %s, %v, want %s", again, err, id)
	}
	ids := make(chan string, 30)
	var all sync.WaitGroup
	for n := range 30 {
		all.Go(func() { ids <- f.publish(hubs[n%3], "a", "race", hub.WithIdempotencyKey("race \r\n\u00e4")) })
	}
	all.Wait()
	race := <-ids
	for len(ids) > 0 {
		if got := <-ids; got != race {
			f.Errorf("published at the same time: got %s, want %s", got, race)
		}
	}
	if last := f.publish(hubs[0], "a", "last", hub.WithIdempotencyKey("other")); last == race || last == id {
		f.Errorf("got the ID %s of another key's event", last)
	}
	there := f.publish(hubs[1], "a.x", "there", hub.WithIdempotencyKey("once"))
	if there == id {
		f.Errorf("got the ID %s of another topic's event", there)
	}
	if again := f.publish(hubs[2], "a.x", "there", hub.WithIdempotencyKey("once")); again != there {
		f.Errorf("published again: got %s, want %s", again, there)
	}
	c.want("first", "race", "last", "there")
}

// Publish refuses what must not reach the log.
func checkRefused(f *fixture) {
	h := f.open(hub.WithMaxBytes(1 << 20))
	c := f.join(h, "a")
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name, topic, says string
		ctx               context.Context //nolint:containedctx // of the call
		event             core.Event
		option            hub.PublishOption
	}{
		{name: "the context has ended", topic: "a", ctx: gone, says: "canceled"},
		{name: "an ID of its own", topic: "a", event: core.Event{ID: "5"}, says: `"5"`},
		{name: "no topic", says: "topic"},
		{name: "a pattern", topic: "a.*", says: "pattern"},
		{name: "two lines of type", topic: "a", event: core.Event{Type: "a\nb"}, says: "type"},
		{name: "too large", topic: "a", event: core.Event{Data: strings.Repeat("x", 1<<20)}, says: "WithMaxBytes"},
		{name: "a long key", topic: "a", option: hub.WithKey(strings.Repeat("x", 256)), says: "at most 255, see WithKey"},
		{
			name: "a long idempotency key", topic: "a", option: hub.WithIdempotencyKey(strings.Repeat("x", 256)),
			says: "at most 255, see WithIdempotencyKey",
		},
	} {
		ctx := test.ctx
		if ctx == nil {
			ctx = f.soon()
		}
		id, err := h.Publish(ctx, test.topic, test.event, test.option)
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(test.says)) || id != "" {
			f.Errorf("%s: got %q, %v, want an error that says %s", test.name, id, err, test.says)
		}
		if test.ctx != nil && !errors.Is(err, context.Canceled) {
			f.Errorf("%s: got %v, want the context's error", test.name, err)
		}
	}
	longest := strings.Repeat("x", 255)
	f.publish(h, "a", "only", hub.WithKey(longest), hub.WithIdempotencyKey(longest))
	c.want("only")
}

// An ID leads to its event's topic, as long as the event is held anywhere.
func checkTopicOf(f *fixture) {
	hubs := f.three(hub.WithMaxEvents(2))
	begin := hubs[0].LastID()
	topics := []string{"a", "b.1", "c d", "\u00e9.%20", "a"}
	ids := make([]string, len(topics))
	for i, topic := range topics {
		ids[i] = f.publish(hubs[0], topic, "")
	}
	f.caughtUp(ids[4], hubs...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	want := func(h *hub.Hub, id, topic string) {
		got, err := h.TopicOf(ctx, id)
		if got != topic || topic == "" && !errors.Is(err, hub.ErrNotHeld) || topic != "" && err != nil {
			f.Errorf("the topic of %q: got %q, %v, want %q", id, got, err, topic)
		}
	}
	gone := 0
	if f.plain != nil {
		gone = len(ids) - 2 //nolint:mnd // a plain hub has what its memory holds
	} else if f.server.Trim != nil {
		gone = 2
		f.server.Trim(len(ids) - gone)
	}
	for _, h := range hubs {
		for _, id := range ids[:gone] {
			want(h, id, "")
		}
		for i, id := range ids[gone:] {
			want(h, id, topics[gone+i])
		}
		for _, id := range []string{"", "rubbish", begin, "aaaaaaaa-1", ids[4] + "0"} {
			want(h, id, "")
		}
	}
}
