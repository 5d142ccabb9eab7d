package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// The chat's limits, in characters.
const (
	maxName = 24
	maxText = 500
)

var (
	errName  = &problem{http.StatusBadRequest, fmt.Sprintf("bad name: 1 to %d printable characters, such as ?name=Ada", maxName)}
	errChat  = &problem{http.StatusBadRequest, `bad body: try {"from": "Ada", "text": "Hello"}`}
	errLong  = &problem{http.StatusBadRequest, fmt.Sprintf("the text is too long: %d characters at most", maxText)}
	errClose = &problem{http.StatusServiceUnavailable, "the demo is about to stop"}
)

// room is the topic that everybody in the chat reads.
const room = "chat"

// A message is what somebody says, and the body of POST /chat.
type message struct {
	From string    `json:"from"`
	Text string    `json:"text"`
	To   string    `json:"to,omitempty"` // one person; everybody if it is empty
	Time time.Time `json:"time"`
}

// A presence says who has come or left, and who is here now.
type presence struct {
	Name   string   `json:"name,omitempty"`
	People []string `json:"people"`
}

// people are the people in the room.
type people struct {
	mu   sync.Mutex
	here map[string]*person
}

// A person may have several windows, or none for a moment.
type person struct {
	windows int
	stay    context.CancelFunc // stops the announcement that the person has left
}

// names returns the people's names, sorted. It does not return nil, which is null in
// JSON. The caller holds the lock.
func (p *people) names() []string {
	names := slices.AppendSeq([]string{}, maps.Keys(p.here))
	slices.Sort(names)
	return names
}

// personTopic returns the topic that only one person reads. It has the name in hex,
// because a name may contain any character. The topic is not a secret: nobody has to
// prove a name.
func personTopic(name string) string { return "person." + hex.EncodeToString([]byte(name)) }

// personOf returns the name from the second token of a personTopic.
func personOf(token string) string {
	name, _ := hex.DecodeString(token) // it was made by personTopic
	return string(name)
}

// chat streams the messages to everybody and to one person. It begins with those that the
// hub holds.
func (d *demo) chat(ctx context.Context, name string) (core.Stream, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	return d.hub.SubscribeFrom(ctx, hub.Oldest, room, personTopic(name)), nil
}

func cleanName(name string) (string, error) {
	name = strings.TrimSpace(name)
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return "", errName
	}
	return name, nil
}

// enter counts a window. The first window of a person is announced. Another window is
// told who is here.
func (d *demo) enter(name string) {
	d.people.mu.Lock()
	defer d.people.mu.Unlock()
	p := d.people.here[name]
	if p != nil {
		if p.windows++; p.windows == 1 {
			p.stay()
		}
		d.announce(personTopic(name), "people", presence{People: d.people.names()})
		return
	}
	if d.people.here == nil {
		d.people.here = make(map[string]*person)
	}
	d.people.here[name] = &person{windows: 1}
	d.announce(room, "join", presence{name, d.people.names()})
}

// leave announces that a person has left, four ticks after their last window has closed:
// a browser that has lost its connection is back after two ticks, and one that reloads
// the page even sooner.
func (d *demo) leave(name string) {
	d.people.mu.Lock()
	defer d.people.mu.Unlock()
	p := d.people.here[name]
	if p.windows--; p.windows > 0 {
		return
	}
	p.stay = d.crew.start(func(ctx context.Context) {
		if !wait(ctx, 4*d.tick) {
			return
		}
		d.people.mu.Lock()
		defer d.people.mu.Unlock()
		if p.windows == 0 && d.people.here[name] == p {
			delete(d.people.here, name)
			d.announce(room, "leave", presence{name, d.people.names()})
		}
	})
}

// say publishes a message to everybody, or to its sender and its receiver.
func (d *demo) say(m message) error {
	name, err := cleanName(m.From)
	m.From, m.Text, m.Time = name, strings.TrimSpace(m.Text), time.Now()
	switch {
	case err != nil:
		return err
	case m.Text == "":
		return errChat
	case utf8.RuneCountInString(m.Text) > maxText:
		return errLong
	}
	topics := []string{room}
	if m.To = strings.TrimSpace(m.To); m.To != "" {
		if err := d.find(m.To); err != nil {
			return err
		}
		topics = []string{personTopic(m.From), personTopic(m.To)}
	}
	for _, topic := range slices.Compact(topics) {
		if err := d.publish(topic, "", m); errors.Is(err, core.ErrShutdown) {
			return errClose
		} else if err != nil {
			return err
		}
	}
	return nil
}

// find returns a problem unless the person is in the room.
func (d *demo) find(name string) error {
	d.people.mu.Lock()
	defer d.people.mu.Unlock()
	if d.people.here[name] != nil {
		return nil
	}
	others := strings.Join(d.people.names(), ", ")
	if others == "" {
		others = "nobody"
	}
	return &problem{http.StatusNotFound, fmt.Sprintf("there is no %.40q in the room, only %s", name, others)}
}
