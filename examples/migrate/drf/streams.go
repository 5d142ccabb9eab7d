package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

const token = "123"

var sentences = []string{
	"A renderer lets the browser's Accept header pass.",
	"A permission class asks for the token.",
	"After the last event the response ends.",
}

// A noticeBody is what NoticeSerializer reads.
type noticeBody struct {
	Text string `binding:"required" form:"text" json:"text"`
}

// A site holds what views.py keeps in its module.
type site struct {
	tick    time.Duration
	notices chan string
}

func (s *site) ticks(ctx context.Context, user string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		defer log.Printf("%q has left", user)
		id := number(core.LastEventID(ctx), 0)
		for now := range core.Every(ctx, s.tick) {
			id++
			message := []string{"当前时间: " + now.Format(time.DateTime), user}
			if !yield(core.Event{ID: strconv.Itoa(id), Type: "add"}.JSON(message)) {
				return
			}
		}
	}
}

// times yields an event before it waits for the first tick.
func (s *site) times(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		now := time.Now()
		if !yield(core.Event{Data: "The server time is: " + now.Format(time.TimeOnly)}, nil) {
			return
		}
		for now = range core.Every(ctx, s.tick) {
			if !yield(core.Event{Data: "The server time is: " + now.Format(time.TimeOnly)}, nil) {
				return
			}
		}
	}
}

func (s *site) unread(ctx context.Context, user string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		defer log.Printf("%q has left", user)
		for text := range core.Receive(ctx, s.notices) {
			if !yield(core.Event{Type: "notice", Data: text}, nil) {
				return
			}
		}
	}
}

// add reports whether there was room.
func (s *site) add(text string) bool {
	select {
	case s.notices <- text:
		return true
	default:
		return false
	}
}

// story sends n sentences, and begins again when there are no more. It returns nil if
// the client has seen them all.
func story(ctx context.Context, n int) core.Stream {
	last := number(core.LastEventID(ctx), 0)
	if last >= n {
		return nil
	}
	return func(yield func(core.Event, error) bool) {
		for i := last; i < n; i++ {
			if !yield(core.Event{ID: strconv.Itoa(i + 1), Data: sentences[i%len(sentences)]}, nil) {
				return
			}
		}
	}
}

// number parses text from a client. If text is not a number, it returns absent.
func number(text string, absent int) int {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return int(n)
	}
	return absent
}
