package redislog

import (
	"context"
	_ "embed" // for the scripts
	"encoding/json"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

var (
	//go:embed begin.lua
	beginLua string
	//go:embed append.lua
	appendLua string
	//go:embed create.lua
	createLua string

	appendScript = redis.NewScript(beginLua + appendLua)
	createScript = redis.NewScript(beginLua + createLua)
)

// The fields of an entry.
const (
	fieldTopic      = "topic"
	fieldType       = "type"
	fieldData       = "data"
	fieldRetry      = "retry" // ns
	fieldComment    = "comment"
	fieldKey        = "key"
	fieldTopics     = "topics"     // more of them, one a line
	fieldAttributes = "attributes" // JSON
	fieldAfter      = "after"      // the event ID of the entry before, with the epoch of then
)

// Append implements [hub.Log].
func (l *Log) Append(ctx context.Context, e hub.Entry) (string, error) {
	keep := l.maxAge.Milliseconds()
	if l.maxAge > 0 {
		keep = max(keep, 1) // and not no bound
	}
	l.mu.Lock()
	known, age := l.ids(), l.age
	l.appending[age&1]++
	l.mu.Unlock()
	args := make([]any, 0, 24)
	args = append(args, eventid.NewEpoch(), known, max(l.idempotencyWindow.Milliseconds(), 1), l.maxEvents, keep,
		fieldTopic, e.Topic)
	for _, f := range [][2]string{
		{fieldType, e.Event.Type}, {fieldData, e.Event.Data}, {fieldComment, e.Event.Comment},
	} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	if e.Event.Retry != 0 {
		args = append(args, fieldRetry, int64(e.Event.Retry))
	}
	if e.Keyed {
		args = append(args, fieldKey, e.Key)
	}
	if len(e.Topics) > 0 {
		args = append(args, fieldTopics, strings.Join(e.Topics, "\n"))
	}
	if len(e.Attributes) > 0 {
		text, _ := json.Marshal(e.Attributes) //nolint:errchkjson // strings never fail to encode
		args = append(args, fieldAttributes, text)
	}
	keys := []string{l.stream, l.epochs}
	if e.IdempotencyKey != "" {
		keys = append(keys, sibling(l.stream, "once:"+e.IdempotencyKey))
	}
	id, err := wait(ctx, l, "append", start(ctx, l, func(ctx context.Context, client redis.UniversalClient) (string, error) {
		return appendScript.Run(ctx, client, keys, args...).Text()
	}))
	var due place
	if err == nil {
		due.epoch, due.position, err = parseID(id)
		if err != nil {
			err = l.fail("append", err)
		}
	}
	if e.IdempotencyKey == "" { // otherwise it may be another one's
		due = placeOf(due.epoch, due.position, e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appending[age&1]--
	if err != nil {
		return "", err
	}
	if len(l.owed) >= mostOwed {
		l.owed = append(l.owed[:0], l.owed[len(l.owed)/2:]...)
	}
	l.owed = append(l.owed, due)
	if i := l.front(due.epoch); i >= 0 { // which may not be the present one any more
		l.fronts[i].last = later(l.fronts[i].last, due.position)
	} else {
		l.reached(due.epoch, due.position)
	}
	return id, nil
}

// create makes what is missing, and begins a new epoch if the stream lacks an event that was
// seen; see begin.lua.
func (l *Log) create(ctx context.Context, client redis.UniversalClient, seen string) error {
	keys := []string{l.stream, l.epochs}
	return createScript.Run(ctx, client, keys, eventid.NewEpoch(), seen).Err()
}
