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
	epoch, last := l.seen()
	age := l.maxAge.Milliseconds()
	if l.maxAge > 0 {
		age = max(age, 1) // and not no bound
	}
	args := make([]any, 0, 24)
	args = append(args, eventid.NewEpoch(), epoch, last.String(), max(l.idempotencyWindow.Milliseconds(), 1),
		l.maxEvents, age, fieldTopic, e.Topic)
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
	if err != nil {
		return "", err
	}
	epoch, p, err := parseID(id)
	if err != nil {
		return "", l.fail("append", err)
	}
	l.know(epoch, p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.added = placeOf(epoch, p, e); e.IdempotencyKey != "" {
		l.added.mark = 0 // it may be another one's
	}
	return id, nil
}

// create makes what is missing, and begins a new epoch if the stream's last ID is
// lower than one that was seen in its present epoch.
func (l *Log) create(ctx context.Context, client redis.UniversalClient, epoch string, seen position) error {
	keys := []string{l.stream, l.epochs}
	return createScript.Run(ctx, client, keys, eventid.NewEpoch(), epoch, seen.String()).Err()
}
