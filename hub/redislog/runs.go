package redislog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/run"
)

// Runs keeps runs in Redis, see [run.WithStore]. Each run is apart from all others: a hash and a list of
// its events, which Redis drops by itself when the run's retention time is over. In a cluster a run is in one
// slot, and different runs are in different ones.
type Runs struct {
	log    *Log // for its connections
	prefix string
	hints  *hints
}

var _ run.Store = (*Runs)(nil)

// NewRuns returns the runs whose keys begin with prefix and a colon. It does not connect yet: the
// first call does. Of the options it uses what [New] does.
//
// As for a [Log], the keys must not be evicted, and the server decides what survives a crash. A run
// that has lost a part of what was stored is lost in all processes, as soon as its process adds
// something or renews its lease. With access control lists, these permissions are enough for
// runs of the prefix "runs":
//
//	ACL SETUSER runs on >password ~runs:* &runs:*
//		+eval +evalsha +exists +get +hexists +hget +hgetall +hset +llen +lrange
//		+pexpire +ping +publish +rpush +scan +set +subscribe +time +unsubscribe
func NewRuns(options *redis.UniversalOptions, prefix string) *Runs {
	r := &Runs{log: New(options, prefix), prefix: prefix}
	r.log.kind = "runs"
	r.hints = newHints(r.log.link.client)
	return r
}

// Close closes the connections, and waits for the calls that still use them. Shut down the runners
// that use the store first.
func (r *Runs) Close() error {
	r.hints.close()
	return r.log.Close()
}

// name returns the Redis key of the runs of a key, which is also their hash tag.
func (r *Runs) name(key string) string { return r.prefix + ":{" + url.QueryEscape(key) + "}" }

// about says what is done, for errors.
func about(what, key string) string { return what + " the run " + strconv.Quote(key) }

func (r *Runs) fail(what, key string, err error) error { return r.log.fail(about(what, key), err) }

// call runs a script about the runs of a key.
func (r *Runs) call(ctx context.Context, what, key string, script *redis.Script, args ...any) (any, error) {
	return ask(ctx, r.log, about(what, key), func(ctx context.Context, client redis.UniversalClient) (any, error) {
		answer, err := script.Run(ctx, client, []string{r.name(key)}, args...).Result()
		if errors.Is(err, redis.Nil) {
			return nil, nil
		}
		return answer, err
	})
}

// record runs a script that returns a record, or nothing.
func (r *Runs) record(ctx context.Context, what, key string, script *redis.Script, args ...any) (run.Record, error) {
	answer, err := r.call(ctx, what, key, script, args...)
	switch {
	case err != nil:
		return run.Record{}, err
	case answer == nil:
		return run.Record{}, run.ErrNotHeld
	}
	return r.parse(key, answer)
}

// Claim implements [run.Store].
func (r *Runs) Claim(ctx context.Context, c run.Claim) (run.Record, error) {
	return r.record(ctx, "claim", c.Key, claimScript, c.ID, c.Starter, milliseconds(c.Lease), milliseconds(c.Retention))
}

// milliseconds rounds up, so that a duration is not zero unless it is. The longest one is rounded down, so that
// it is a duration again.
func milliseconds(d time.Duration) int64 {
	n := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		n++
	}
	return min(n, int64(math.MaxInt64/time.Millisecond))
}

// Append implements [run.Store].
func (r *Runs) Append(ctx context.Context, c run.Claim, b run.Batch) (*run.StopRequest, error) {
	args := make([]any, 0, 3+len(b.Entries))
	args = append(args, c.ID, b.First, b.Bytes)
	for _, e := range b.Entries {
		args = append(args, e)
	}
	answer, err := r.call(ctx, "append to", c.Key, addScript, args...)
	if err != nil {
		return nil, err
	}
	stop, ok := answer.([]any)
	if !ok {
		return nil, r.lost("append to", c.Key, answer)
	}
	if len(stop) == 0 || stop[0] == nil {
		return nil, nil
	}
	var request run.StopRequest
	if err := json.Unmarshal([]byte(fmt.Sprint(stop[0])), &request); err != nil {
		return nil, r.fail("read the request to stop", c.Key, err)
	}
	return &request, nil
}

func (r *Runs) lost(what, key string, why any) error {
	return r.fail(what, key, fmt.Errorf("%v: %w", why, run.ErrLost))
}

// End implements [run.Store].
func (r *Runs) End(ctx context.Context, c run.Claim, e run.End) error {
	answer, err := r.call(ctx, "end", c.Key, endScript,
		c.ID, string(e.Outcome), e.Clean, e.Events, e.Bytes, fmt.Sprintf("%+v", e), e.Message)
	if err == nil && answer != nil {
		err = r.lost("end", c.Key, answer)
	}
	return err
}

// Get implements [run.Store].
func (r *Runs) Get(ctx context.Context, key string) (run.Record, error) {
	return r.record(ctx, "read", key, getScript)
}

// pageSize is about how many bytes of entries are read at once.
const pageSize = 256 << 10

// Read implements [run.Store]. A cursor is how many entries were read.
func (r *Runs) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	at := 0
	if cursor != "" {
		var err error
		if at, err = strconv.Atoi(cursor); err != nil {
			return run.Page{}, r.fail("read", key, err)
		}
	}
	answer, err := r.call(ctx, "read", key, pageScript, id, at, pageSize)
	switch {
	case err != nil:
		return run.Page{}, err
	case answer == nil:
		return run.Page{}, run.ErrNotHeld
	}
	parts, _ := answer.([]any)
	if len(parts) != 4 { //nolint:mnd // as the script returns
		return run.Page{}, r.fail("read", key, fmt.Errorf("the script returned %v, want 4 values", answer))
	}
	rec, err := r.parse(key, parts[0])
	if err != nil {
		return run.Page{}, err
	}
	left, _ := parts[3].(int64)
	page := run.Page{Record: rec, Cursor: fmt.Sprint(parts[2]), More: left > 0}
	entries, _ := parts[1].([]any)
	for _, e := range entries {
		page.Entries = append(page.Entries, fmt.Sprint(e))
	}
	return page, nil
}

// Stop implements [run.Store].
func (r *Runs) Stop(ctx context.Context, key string, s run.StopRequest) (run.Record, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return run.Record{}, r.fail("stop", key, err)
	}
	return r.record(ctx, "stop", key, stopScript, string(text))
}

// List implements [run.Store]. Redis goes through all of its keys for it, and it asks for each run.
func (r *Runs) List(ctx context.Context) ([]run.Record, error) {
	pattern := globs.Replace(r.prefix) + ":{*}"
	find := func(ctx context.Context, client redis.UniversalClient) (map[string]bool, error) {
		names := make(map[string]bool)
		if c, ok := client.(*redis.ClusterClient); ok {
			all := make(chan string)
			var failed error
			go func() {
				defer close(all)
				failed = c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
					return scan(ctx, node, pattern, func(name string) { all <- name })
				})
			}()
			for name := range all {
				names[name] = true
			}
			return names, failed
		}
		err := scan(ctx, client, pattern, func(name string) { names[name] = true })
		return names, err
	}
	names, err := wait(ctx, r.log, "list", start(ctx, r.log, find))
	if err != nil {
		return nil, err
	}
	var records []run.Record
	for name := range names {
		escaped := strings.TrimSuffix(strings.TrimPrefix(name, r.prefix+":{"), "}")
		key, err := url.QueryUnescape(escaped)
		if err != nil || r.name(key) != name {
			continue // it is somebody else's
		}
		rec, err := r.Get(ctx, key)
		switch {
		case errors.Is(err, run.ErrNotHeld): // it has just gone
		case err != nil:
			return nil, err
		default:
			records = append(records, rec)
		}
	}
	return records, nil
}

var globs = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

// scan calls f with the keys that match. There may be very many others, so each step has the time
// of a call.
func scan(ctx context.Context, client redis.Cmdable, pattern string, f func(name string)) error {
	const most = 1000
	for cursor := uint64(0); ; {
		step, cancel := context.WithTimeout(ctx, patience)
		names, next, err := client.Scan(step, cursor, pattern, most).Result()
		cancel()
		if err != nil {
			return err
		}
		for _, name := range names {
			f(name)
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// Watch implements [run.Store].
func (r *Runs) Watch(key string, h run.Hint, f func()) (cancel func()) {
	return r.hints.watch(r.name(key)+":"+string(h), f)
}

// parse returns the record that a script has returned.
func (r *Runs) parse(key string, answer any) (run.Record, error) {
	parts, _ := answer.([]any)
	if len(parts) != 4 { //nolint:mnd // as record in the scripts returns
		return run.Record{}, r.fail("read", key, fmt.Errorf("the script returned %v, want 4 values", answer))
	}
	fields := make(map[string]string)
	pairs, _ := parts[3].([]any)
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
	}
	integer := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	in := func(field string) int64 { return integer(fields[field]) }
	now, events := integer(fmt.Sprint(parts[0])), integer(fmt.Sprint(parts[1]))
	rec := run.Record{
		Claim: run.Claim{
			Key: key, ID: fmt.Sprint(parts[2]), Starter: fields["starter"],
			Lease: time.Duration(in("lease")) * time.Millisecond, Retention: time.Duration(in("retention")) * time.Millisecond,
		},
		End: run.End{
			Outcome: run.Outcome(fields["outcome"]), Clean: fields["clean"] == "1", Message: fields["message"],
			Events: int(events), Bytes: in("bytes"),
		},
		Started: time.UnixMilli(in("started")),
	}
	switch {
	case rec.Outcome == "":
		rec.Left = time.Duration(max(in("until")-now, 0)) * time.Millisecond
	default:
		rec.Events, rec.Ended = int(in("events")), time.UnixMilli(in("ended"))
	}
	return rec, nil
}
