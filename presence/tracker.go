package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

const (
	maxKey  = 255     // bytes of a key
	maxInfo = 4 << 10 // bytes of the JSON of an info
)

// A Tracker knows who is on which topic, in all processes that share its log. The zero Tracker
// is alone, and works. Its methods may be called by any goroutine at any time. It must not be
// copied after its first use.
type Tracker struct {
	mu      sync.Mutex // guards everything here; never held while waiting
	config  config
	streams *hub.Hub // what the streams of this process are told; nil before the first use
	rooms   map[string]map[string]*member
	own     map[string]*member // of this process, by ID
	last    uint64             // the number in the last ID
	cluster *cluster           // nil without a log
	closed  bool
}

// A Member is somebody on a topic.
type Member struct {
	Topic string          `json:"topic"`
	ID    string          `json:"id"`             // of this call of Join alone
	Key   string          `json:"key"`            // who it is; may be there several times
	Info  json.RawMessage `json:"info,omitempty"` // what the application says of it; must not be changed
}

// A member is a Member with its JSON.
type member struct {
	Member

	text json.RawMessage
	stop func() bool // stops watching the context; nil for members of other processes
	told bool        // to other processes
	gone bool
}

// New returns a Tracker. With [WithLog] it has three goroutines, one of which follows the log, as
// in a [hub.Hub]; [Tracker.Shutdown] ends them.
func New(opts ...Option) *Tracker {
	t := &Tracker{config: newConfig(opts)}
	t.setUp()
	if t.config.log != nil {
		t.cluster = newCluster(t)
		t.cluster.start()
	}
	return t
}

func (t *Tracker) setUp() {
	t.streams = hub.New(hub.WithMaxBytes(16 << 20))
	t.rooms = make(map[string]map[string]*member)
	t.own = make(map[string]*member)
}

// lock locks the Tracker, and sets it up if it is a zero Tracker.
func (t *Tracker) lock() {
	t.mu.Lock()
	if t.streams == nil {
		t.setUp()
	}
}

// Join adds a member to a topic, until ctx ends or leave is called. In a view, use the context
// of the request: the member leaves when the session ends. It costs no goroutine. leave may be
// called more than once.
//
// key says who it is, such as a user's ID, and info is what else readers of the topic are told:
// it is encoded as JSON, and nil stands for nothing. Readers see both, so they must not be
// secrets. A user with several windows is there several times, with the same key and different
// IDs.
//
// Join does not wait for the log. This process has the member at once, and other processes as
// soon as the log delivers. If the log is in trouble, they are told later: see [Tracker.Healthy].
//
// An error says why nobody was added: topic is not the name of a topic (see [hub.CheckTopic]) or
// has more than 253 bytes; key is not 1 to 255 bytes of UTF-8; info cannot be encoded or has
// more than 4 KiB; ctx has ended; or it is [core.ErrShutdown] after a Shutdown.
func (t *Tracker) Join(ctx context.Context, topic, key string, info any) (leave func(), err error) {
	m := &member{Member: Member{Topic: strings.Clone(topic), Key: strings.Clone(key)}} // a host may reuse their memory
	if err := check(topic, key); err != nil {
		return nil, fmt.Errorf("presence: join: %w", err)
	}
	if info != nil {
		if m.Info, err = json.Marshal(info); err == nil && len(m.Info) > maxInfo {
			err = fmt.Errorf("the info has %d bytes: it may have at most %d", len(m.Info), maxInfo)
		}
		if err != nil {
			return nil, fmt.Errorf("presence: join %q: %w", topic, err)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("presence: join %q: %w", topic, context.Cause(ctx))
	}
	t.lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errShutdown
	}
	t.last++
	m.ID = strconv.FormatUint(t.last, 10)
	if t.cluster != nil {
		m.ID = t.cluster.id + "-" + m.ID
	}
	if m.text, err = json.Marshal(m.Member); err != nil {
		return nil, fmt.Errorf("presence: join %q: %w", topic, err)
	}
	t.own[m.ID] = m
	t.add(m)
	if t.cluster != nil {
		t.cluster.change(m)
	}
	leave = func() { t.leave(m) }
	m.stop = context.AfterFunc(ctx, leave)
	return leave, nil
}

func check(topic, key string) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	return checkKey(key)
}

// prefix is what the names of topics begin with in Tracker.streams.
const prefix = "t."

func checkTopic(topic string) error {
	if err := hub.CheckTopic(topic); err != nil {
		return err
	}
	return hub.CheckTopic(prefix + topic) // which is longer
}

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > maxKey:
		return fmt.Errorf("the key has %d bytes: it may have at most %d", len(key), maxKey)
	case !utf8.ValidString(key):
		return errors.New("the key must be valid UTF-8")
	}
	return nil
}

// leave removes a member of this process.
func (t *Tracker) leave(m *member) {
	t.lock()
	defer t.mu.Unlock()
	if m.gone {
		return
	}
	m.stop()
	delete(t.own, m.ID)
	t.remove(m)
	if t.cluster != nil {
		t.cluster.change(m)
	}
}

// add adds a member of any process. The Tracker is locked.
func (t *Tracker) add(m *member) {
	room := t.rooms[m.Topic]
	if room == nil {
		room = make(map[string]*member)
		t.rooms[m.Topic] = room
	}
	room[m.ID] = m
	t.tell(prefix+m.Topic, eventJoin, m.text)
}

// remove undoes add.
func (t *Tracker) remove(m *member) {
	m.gone = true
	room := t.rooms[m.Topic]
	if delete(room, m.ID); len(room) == 0 {
		delete(t.rooms, m.Topic)
	}
	t.tell(prefix+m.Topic, eventLeave, m.text)
}

// Len returns how many members a topic has, in all processes.
func (t *Tracker) Len(topic string) int {
	t.lock()
	defer t.mu.Unlock()
	return len(t.rooms[topic])
}

// Members returns the members of a topic when the loop begins, in all processes, in no
// particular order. [Tracker.Healthy] says whether those of other processes are known for
// certain.
func (t *Tracker) Members(topic string) iter.Seq[Member] {
	return func(yield func(Member) bool) {
		t.lock()
		members := make([]*member, 0, len(t.rooms[topic]))
		for _, m := range t.rooms[topic] {
			members = append(members, m)
		}
		t.mu.Unlock()
		for _, m := range members {
			if !yield(m.Member) {
				return
			}
		}
	}
}

// Healthy returns why the members of other processes are not known for certain at present, or
// nil: the log is in trouble, other processes have not told yet who is there, or the Tracker was
// shut down, see [core.ErrShutdown]. The members are then those that were known last. Without
// [WithLog] it is nil until the shutdown.
//
// A Tracker knows nothing for certain before it has heard from the others, or, if there are
// none, for half a lease.
func (t *Tracker) Healthy() error {
	t.lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return errShutdown
	case t.cluster != nil:
		return t.cluster.healthy()
	default:
		return nil
	}
}

// errShutdown is the error of a Tracker that was shut down.
var errShutdown error = shutdownError{}

type shutdownError struct{}

func (shutdownError) Error() string { return "presence: the tracker was shut down" }

func (shutdownError) Unwrap() error { return core.ErrShutdown }
