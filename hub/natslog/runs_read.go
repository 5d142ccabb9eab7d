package natslog

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/yieldsse/yieldsse/run"
)

// Read implements [run.Store]. A cursor is the sequence number of the last message that was read. The stream's leader
// says what the last message is. A reader that lacks only that one has received it with the answer. Any server that has the
// stream returns what is older.
func (r *Runs) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	p, err := r.read(ctx, key, id, cursor)
	if err != nil {
		return run.Page{}, r.fail("read", key, err)
	}
	return p, nil
}

func (r *Runs) read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	seen, _ := strconv.ParseUint(cursor, 10, 64) // an empty one is 0
	last, now, err := r.settled(ctx, key, func(c *change) bool { return c.ID == id && c.sequence >= seen })
	if err == nil && last == nil {
		err = run.ErrNotHeld
	}
	if err != nil {
		return run.Page{}, err
	}
	var some []change
	switch own := last.ID == id; {
	case own && last.sequence == seen:
		return run.Page{Record: last.record(key, now), Cursor: cursor}, nil
	case own && (last.Prev == seen || seen == 0 && last.Begin == last.sequence):
		some = []change{*last}
	case own:
		some, err = r.next(ctx, key, id, max(seen+1, last.Begin))
	default: // it has ended
		some, err = r.next(ctx, key, id, seen+1)
	}
	if err != nil {
		return run.Page{}, err
	}
	if len(some) == 0 {
		c, err := r.get(ctx, map[string]any{"seq": max(seen, 1)})
		if err == nil && (c == nil || c.ID != id || c.End == nil) {
			err = run.ErrNotHeld
		}
		if err != nil {
			return run.Page{}, err
		}
		return run.Page{Record: c.record(key, now), Cursor: cursor}, nil
	}
	var page run.Page
	for _, c := range some {
		page.Entries = append(page.Entries, c.Entries...)
	}
	newest := some[len(some)-1]
	page.Record, page.Cursor = newest.record(key, now), strconv.FormatUint(newest.sequence, 10)
	page.More = newest.End == nil && (last.ID != id || newest.sequence < last.sequence)
	return page, nil
}

// next returns the changes of a run from a sequence number on: at least one, if there are any.
func (r *Runs) next(ctx context.Context, key, id string, from uint64) ([]change, error) {
	const most = 256 // messages
	for more := true; more; {
		text, err := json.Marshal(map[string]any{
			"seq": from, "next_by_subj": r.subject(key), "batch": most, "max_bytes": pageBytes,
		})
		if err != nil {
			return nil, err
		}
		messages, err := r.log.direct(ctx, text, most)
		if err != nil {
			return nil, err
		}
		changes := make([]change, 0, len(messages))
		for _, m := range messages {
			c, err := parse(m.mark, m.Data)
			if err != nil {
				return nil, err
			}
			changes = append(changes, *c)
			from, more = m.sequence+1, m.Header.Get(headerPending) != "0"
		}
		if own := of(changes, id); len(own) > 0 {
			return own, nil
		}
		more = more && len(messages) > 0
	}
	for { // the server that has answered may not have the newest ones yet
		c, err := r.get(ctx, map[string]any{"seq": from, "next_by_subj": r.subject(key)})
		switch {
		case err != nil || c == nil:
			return nil, err
		case c.ID == id:
			return []change{*c}, nil
		}
		from = c.sequence + 1
	}
}

// of returns the changes of one run, which follow each other.
func of(changes []change, id string) []change {
	first := slices.IndexFunc(changes, func(c change) bool { return c.ID == id })
	if first < 0 {
		return nil
	}
	changes = changes[first:]
	if end := slices.IndexFunc(changes, func(c change) bool { return c.ID != id }); end >= 0 {
		changes = changes[:end]
	}
	return changes
}
