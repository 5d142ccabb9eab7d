package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// A demo is what the six frameworks share: the views and their state. A view takes a
// context and plain values, and returns a stream or a problem. If it returns neither,
// there is nothing to stream, and the answer is 204.
type demo struct {
	tick  time.Duration
	sites []siteInfo
	log   *log.Logger

	// options are for all streams: a group that ends them, and a reconnection time of
	// two ticks.
	options []core.Option

	notices notices
	jobs    jobs
	drops   drops

	hub    *hub.Hub // for the chat, the prices and the news
	crew   crew
	people people
	market *market
	prices feed // publishes the market's prices
	desk   desk
	items  feed // publishes the desk's news
}

func newDemo(tick time.Duration, streams *core.Group, logger *log.Logger) *demo {
	d := &demo{
		tick:    tick,
		log:     logger,
		options: []core.Option{core.WithGroup(streams), core.WithRetry(2 * tick)},
	}
	d.hub = d.newHub()
	d.market = newMarket(1)
	d.prices = feed{crew: &d.crew, every: max(tick/50, minStep), publish: d.trade}
	d.items = feed{crew: &d.crew, every: 3 * tick, publish: d.report}
	for range firstNews {
		d.report()
	}
	d.notices.add("Welcome. This notice is unread: reading it removes it from the list.")
	d.notices.add("Your report is ready.")
	return d
}

// A problem is an answer instead of a stream. Each framework sends it in its own way.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

var (
	errToken  = &problem{http.StatusForbidden, "wrong token: try " + goodToken}
	errJob    = &problem{http.StatusNotFound, "unknown job: try backup"}
	errPrompt = &problem{http.StatusBadRequest, `bad body: try {"prompt": "Hello"}`}
	errText   = &problem{http.StatusBadRequest, `bad body: try {"text": "Hello"}`}
	errFull   = &problem{http.StatusConflict, "too many unread notices: read them first"}
)

// decode reads a body that must be exactly one JSON value.
func decode(body io.Reader, v any) error {
	all, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return json.Unmarshal(all, v)
}

// stream continues after the client's last event ID.
func (d *demo) stream(ctx context.Context, user string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		id, _ := lastID(ctx)
		for now := range core.Every(ctx, d.tick) {
			id++
			message := []string{"当前时间: " + now.Format(time.DateTime), user}
			if !yield(core.Event{ID: strconv.FormatUint(id, 10), Type: "add"}.JSON(message)) {
				return
			}
		}
	}
}

// lastID returns the client's last event ID. It returns 0 and false if there is none, or
// if it is not a number.
func lastID(ctx context.Context) (id uint64, ok bool) {
	id, err := strconv.ParseUint(core.LastEventID(ctx), 10, 63)
	if err != nil {
		return 0, false
	}
	return id, true
}

// time is the shortest view: its events have no ID and no type.
func (d *demo) time(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for now := range core.Every(ctx, 3*d.tick) {
			if !yield(core.Event{Data: "The server time is: " + now.Format(time.TimeOnly)}, nil) {
				return
			}
		}
	}
}

// notice sends the unread notices and ends. The browser reconnects, and stops when there
// are none.
func (d *demo) notice(token string) (core.Stream, error) {
	if token != goodToken {
		return nil, errToken
	}
	if d.notices.len() == 0 {
		return nil, nil
	}
	return func(yield func(core.Event, error) bool) {
		for text, ok := d.notices.take(); ok; text, ok = d.notices.take() {
			if !yield(core.Event{Type: "notice", Data: text}, nil) {
				d.notices.add(text) // it is still unread
				return
			}
		}
	}, nil
}

// addNotice adds a notice for the next stream.
func (d *demo) addNotice(token, text string) error {
	switch {
	case token != goodToken:
		return errToken
	case text == "":
		return errText
	case !d.notices.add(text):
		return errFull
	}
	return nil
}

var sentences = []string{
	"A stream is a generator: it yields one event after another.",
	"The connection pulls each event, so the generator never runs far ahead.",
	"Each event has an ID, which the browser remembers.",
	"When the connection is lost, the browser asks for the events after that ID.",
	"A finite stream says when it is done, and the page closes it.",
}

// events is finite: a client that has the last event gets nothing more.
func (d *demo) events(ctx context.Context) core.Stream {
	next, _ := lastID(ctx)
	if next > uint64(len(sentences)) {
		return nil
	}
	return func(yield func(core.Event, error) bool) {
		for range core.Every(ctx, d.tick) {
			e := core.Event{ID: strconv.FormatUint(next+1, 10), Type: "done", Data: "That was all."}
			if next < uint64(len(sentences)) {
				e.Type, e.Data = "", sentences[next]
			}
			if !yield(e, nil) || e.Type == "done" {
				return
			}
			next++
		}
	}
}

// pause tells the client when to come back, so that no connection is open in the
// meantime.
func (d *demo) pause(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		const parts = 3
		part := 0
		for now := range core.Every(ctx, d.tick) {
			if part++; part > parts {
				back := now.Add(5 * d.tick).UnixMilli()
				yield(core.Event{Type: "pause", Data: strconv.FormatInt(back, 10)}, nil)
				return
			}
			if !yield(core.Event{Data: fmt.Sprintf("Part %d of %d is done.", part, parts)}, nil) {
				return
			}
		}
	}
}

// tokens sends an answer piece by piece, twenty pieces a tick.
func (d *demo) tokens(ctx context.Context, prompt string) (core.Stream, error) {
	if prompt == "" {
		return nil, errPrompt
	}
	return func(yield func(core.Event, error) bool) {
		rest := split(answer(prompt))
		for range core.Every(ctx, d.tick/20) {
			if !yield(core.Event{Data: rest[0]}, nil) {
				return
			}
			if rest = rest[1:]; len(rest) == 0 {
				return
			}
		}
	}, nil
}

// progress reports how far a job is, ten percent a tick. The job continues while nobody
// watches. A client that comes back gets what it missed at once.
func (d *demo) progress(ctx context.Context, name string) (core.Stream, error) {
	percent := 0
	if last, ok := lastID(ctx); ok {
		percent = int(min(last, 100)) + 1
	}
	after := func(percent int) time.Duration { return d.tick * time.Duration(percent) / 10 }
	begin, ok := d.jobs.begin(name, after(percent), after(100))
	switch {
	case !ok:
		return nil, errJob
	case percent > 100:
		return nil, nil
	}
	return func(yield func(core.Event, error) bool) {
		for ; percent <= 100 && wait(ctx, time.Until(begin.Add(after(percent)))); percent++ {
			text := strconv.Itoa(percent)
			if !yield(core.Event{ID: text, Type: "progress", Data: text}, nil) {
				return
			}
		}
	}, nil
}

// wait waits for d, and reports whether it did so before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for range core.Receive(ctx, t.C) {
		return true
	}
	return false
}

// fail breaks off, so that nobody mistakes its three events for the whole stream.
func (d *demo) fail(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		n := 0
		for range core.Every(ctx, d.tick) {
			if n++; n > 3 {
				yield(core.Event{}, errors.New("the database has gone away"))
				return
			}
			if !yield(core.Event{Data: fmt.Sprintf("Row %d of 1000", n)}, nil) {
				return
			}
		}
	}
}
