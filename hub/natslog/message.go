package natslog

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// The headers of an event. Their values are escaped as a URL's path is.
const (
	headerType       = "Event-Type"
	headerRetry      = "Event-Retry" // such as "2s"
	headerComment    = "Event-Comment"
	headerKey        = "Event-Key"
	headerTopics     = "Event-Topics"     // more of them, one a line
	headerAttributes = "Event-Attributes" // JSON
)

// A subject has no spaces.
var (
	subjectOf = strings.NewReplacer("%", "%25", " ", "%20")
	topicOf   = strings.NewReplacer("%25", "%", "%20", " ")
)

// encode returns an entry as a message.
func (l *Log) encode(e hub.Entry) *nats.Msg {
	m := &nats.Msg{Subject: l.stream + "." + subjectOf.Replace(e.Topic), Data: []byte(e.Event.Data)}
	set := func(name, value string) {
		if m.Header == nil {
			m.Header = make(nats.Header)
		}
		m.Header[name] = []string{url.PathEscape(value)}
	}
	if e.Event.Type != "" {
		set(headerType, e.Event.Type)
	}
	if e.Event.Comment != "" {
		set(headerComment, e.Event.Comment)
	}
	if e.Event.Retry != 0 {
		set(headerRetry, e.Event.Retry.String())
	}
	if e.Keyed {
		set(headerKey, e.Key)
	}
	if len(e.Topics) > 0 {
		set(headerTopics, strings.Join(e.Topics, "\n"))
	}
	if len(e.Attributes) > 0 {
		text, _ := json.Marshal(e.Attributes) //nolint:errchkjson // strings never fail to encode
		set(headerAttributes, string(text))
	}
	if e.IdempotencyKey != "" {
		set(nats.MsgIdHdr, e.IdempotencyKey)
	}
	return m
}

func (l *Log) topic(subject string) string {
	return topicOf.Replace(strings.TrimPrefix(subject, l.stream+"."))
}

// decode is the inverse of encode. The payload of another program's message is data, unless
// its headers say otherwise. A marker of the server's, where messages are gone, is only a
// position, and so is a message whose attributes cannot be read: no filter could judge it.
func (l *Log) decode(subject string, m *nats.Msg) hub.Entry {
	if m.Header.Get(jetstream.MarkerReasonHeader) != "" {
		return hub.Entry{}
	}
	get := func(name string) string {
		value := m.Header.Get(name)
		if s, err := url.PathUnescape(value); err == nil {
			return s
		}
		return value
	}
	e := hub.Entry{
		Topic: l.topic(subject),
		Event: core.Event{Data: string(m.Data)},
	}
	if len(m.Header) > 0 {
		e.Event.Type, e.Event.Comment, e.Key = get(headerType), get(headerComment), get(headerKey)
		e.Event.Retry, _ = time.ParseDuration(get(headerRetry))
		_, e.Keyed = m.Header[headerKey]
		if topics := get(headerTopics); topics != "" {
			e.Topics = strings.Split(topics, "\n")
		}
		if a := get(headerAttributes); a != "" {
			if err := json.Unmarshal([]byte(a), &e.Attributes); err != nil {
				return hub.Entry{}
			}
		}
	}
	return e
}
