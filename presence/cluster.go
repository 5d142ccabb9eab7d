package presence

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// A cluster is what a Tracker knows of other processes, and what it has yet to tell them. The
// Tracker's lock guards it.
type cluster struct {
	tracker *Tracker
	id      string // of this process
	hub     *hub.Hub
	lease   time.Duration
	logger  *slog.Logger
	ctx     context.Context //nolint:containedctx // the follower's
	cancel  context.CancelFunc
	teller  context.Context //nolint:containedctx // the teller's, which ends first
	hush    context.CancelFunc
	at      string        // the ID of the last message that has come; of the follower alone
	follows chan struct{} // closed when nothing is followed any more
	tells   chan struct{} // closed when nothing is told any more, except bye
	wake    chan struct{} // has a value if there may be something to tell
	left    chan struct{} // closed when others were told bye
	failure error         // of that

	peers map[string]*peer // other processes
	knows bool             // these are all that there are
	heard time.Time        // when the last own message came back; zero before
	asked time.Time        // when the last own ask of all came back; zero if a new one is needed
	ill   time.Time        // when the log was last seen in trouble
	ills  uint64           // how often it was seen so
	proof uint64           // what was sent when it was that many has come back
	since time.Time        // when current has changed

	current bool // the streams were told so last

	lines []line // for the logger

	// What is to be told.
	number  uint64 // of the last change or part
	changed []*member
	state   bool      // all members
	told    time.Time // when they were
	parts   []*message
	ask     bool   // ask all
	asks    uint64 // the number of the ask of all that counts
	wanted  []string
	sent    time.Time // when the last message was
	asOf    uint64    // ills at that time
}

// A line is one for the logger, which is written when the Tracker is not locked, because the handler
// may block, or call the Tracker.
type line struct {
	level slog.Level
	text  string
	attrs []slog.Attr
}

func (c *cluster) log(level slog.Level, text string, attrs ...slog.Attr) {
	c.lines = append(c.lines, line{level, "presence: " + text, attrs})
}

// unlock unlocks the Tracker, and writes what there is to write.
func (c *cluster) unlock() {
	lines := c.lines
	c.lines = nil
	c.tracker.mu.Unlock()
	for _, l := range lines {
		c.logger.LogAttrs(context.Background(), l.level, l.text, l.attrs...)
	}
}

// A peer is another process.
type peer struct {
	members map[string]*member
	known   bool // members were complete when number came
	number  uint64
	lease   time.Duration
	heard   time.Time
	asked   time.Time // when it was asked for its state, or a part of that came
	asks    uint64    // of its last ask of all that has come
	gone    bool      // it has said bye
	hearsay bool      // others have told of it, and it has told nothing itself

	part    int // of the state that is coming
	pending []*member
}

// tick is how often a process looks at the time.
func (c *cluster) tick() time.Duration {
	return max(min(c.lease/30, 500*time.Millisecond), time.Millisecond)
}

// renewal is how often a process tells others that it is there.
func (c *cluster) renewal() time.Duration { return c.lease / 3 }

// silence is for how long nothing may come back from the log. It is longer than a renewal and so
// short that no member is dropped because of the log.
func (c *cluster) silence() time.Duration { return c.lease / 2 }

func newCluster(t *Tracker) *cluster {
	c := &cluster{
		tracker: t,
		id:      rand.Text()[:13],
		hub:     hub.New(hub.WithLog(t.config.log), hub.WithMaxBytes(4<<20), hub.WithLogger(t.config.logger)),
		lease:   t.config.lease,
		logger:  t.config.logger,
		wake:    make(chan struct{}, 1),
		left:    make(chan struct{}),
		follows: make(chan struct{}),
		tells:   make(chan struct{}),
		peers:   make(map[string]*peer),
		state:   true,
		ask:     true,
		asks:    1,
		since:   time.Now(),
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.teller, c.hush = context.WithCancel(c.ctx)
	return c
}

// start starts to follow the log, and then to tell.
func (c *cluster) start() {
	go func() {
		for c.teller.Err() == nil && c.hub.LastID() == "" { // what was told before that would not come back
			pause.For(c.teller, min(c.tick(), 50*time.Millisecond))
		}
		messages := c.messages()
		go c.tell()
		c.listen(messages)
	}()
}

// healthy returns why the members are not known for certain, or nil.
func (c *cluster) healthy() error {
	if err := c.trouble(); err != nil {
		return err
	}
	unknown := 0
	for _, p := range c.peers {
		if !p.gone && (!p.known || p.heard.Before(c.ill)) {
			unknown++
		}
	}
	switch {
	case c.proof != c.ills:
		return errors.New("presence: the log was in trouble, and what came meanwhile is not known yet")
	case !c.knows:
		return errors.New("presence: it is not known yet which other processes there are")
	case unknown > 0:
		return fmt.Errorf("presence: the members of %d other processes are not known yet", unknown)
	default:
		return nil
	}
}

// trouble returns what is wrong with the log, or nil.
func (c *cluster) trouble() error {
	switch err := c.hub.Healthy(); {
	case err != nil:
		return fmt.Errorf("presence: %w", err)
	case c.heard.IsZero():
		return errors.New("presence: nothing has come back from the log yet")
	case time.Since(c.heard) > c.silence():
		return fmt.Errorf("presence: nothing has come back from the log since %s", c.heard.Format(time.RFC3339))
	default:
		return nil
	}
}

// judge tells the streams if the members were known for certain and are not, or the other way round.
func (c *cluster) judge() {
	why, now := c.healthy(), time.Now()
	if current := why == nil; current == c.current {
		return
	}
	c.current = !c.current
	if c.current {
		c.tracker.tell(status, eventCurrent, empty)
		c.log(slog.LevelInfo, "the members of other processes are known for certain",
			slog.Duration("after", now.Sub(c.since)))
	} else {
		c.tracker.tell(status, eventStale, empty)
		c.log(slog.LevelWarn, "the members of other processes are not known for certain", slog.Any("error", why))
	}
	c.since = now
}

// look does what the time asks for.
func (c *cluster) look() {
	c.tracker.lock()
	defer c.unlock()
	now := time.Now()
	well := c.trouble() == nil
	switch {
	case !well:
		c.ill = now
		if !c.heard.IsZero() {
			c.ills++
		}
	case c.asOf != c.ills:
		c.sent = time.Time{} // so that a renewal is sent at once
	}
	for id, p := range c.peers {
		silent := now.Sub(latest(p.heard, c.ill))
		switch {
		case silent >= p.lease:
			if !p.gone {
				c.log(slog.LevelWarn, "a process was silent for its lease",
					slog.String("process", id), slog.Int("members", len(p.members)))
			}
			c.replace(p, nil)
			delete(c.peers, id)
		case !p.known && !p.gone:
			c.want(id, p)
		}
	}
	due := now.Sub(c.sent) >= c.renewal()
	switch {
	case c.asked.IsZero():
		c.ask = c.ask || due
	case !c.knows && well && now.Sub(latest(c.asked, c.ill)) >= c.silence(): // longer than a renewal
		c.knows = true
	}
	c.judge()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
