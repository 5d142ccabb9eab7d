package host

import (
	"context"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// A guest is a session as its stream sees it, without the methods that end it.
type guest Session

var (
	_ config.Session[core.Request] = (*guest)(nil)
	_ feed.Feed                    = (*guest)(nil)

	_ = feed.Register((*Session)(nil).yield)
)

// answer reports whether err asks which session this yield belongs to, and answers it.
func (s *Session) answer(err error) bool {
	q, ok := err.(*feed.QuestionError) //nolint:errorlint // nobody wraps it
	if ok {
		q.Answer = (*guest)(s)
	}
	return ok
}

// Request implements [config.Session].
func (g *guest) Request() core.Request {
	g.timerMu.Lock()
	defer g.timerMu.Unlock()
	return g.request
}

// Refuse implements [config.Session].
func (g *guest) Refuse(err error) {
	g.timerMu.Lock()
	defer g.timerMu.Unlock()
	if g.begun {
		return
	}
	g.cancel(refusal(err))
}

// Context implements [feed.Feed].
func (g *guest) Context() context.Context { return g.ctx }

// Compressed implements [feed.Feed].
func (g *guest) Compressed() bool { return g.gzip != nil }

// Forward implements [feed.Feed].
func (g *guest) Forward(frames [][]byte) bool { return (*Session)(g).forward(frames) }

// Handover implements [feed.Feed].
func (g *guest) Handover(stream core.Stream, p feed.Pump) bool {
	return g.detached != nil && g.detached.handover(stream, p)
}

// Wake implements [feed.Feed].
func (g *guest) Wake() { g.detached.wake() }

// WakeToEnd implements [feed.Feed].
func (g *guest) WakeToEnd() {
	g.detached.ending.Store(true)
	g.detached.wake()
}

// A member is a session as its groups see it.
type member Session

// Context implements [config.Member].
func (m *member) Context() context.Context { return m.ctx }

// Progress implements [config.Member].
func (m *member) Progress() config.Progress {
	p := config.Progress{ID: m.id, Events: int(m.events.Load()), Bytes: m.sent.Load()}
	m.timerMu.Lock()
	defer m.timerMu.Unlock()
	if !m.begun {
		return p
	}
	p.Opened = m.begin
	if p.Events > 0 {
		p.LastEvent = m.begin.Add(time.Duration(m.flushed.Load()))
	}
	if sending := m.sending.Load(); sending > 0 {
		p.Behind = max(0, (*Session)(m).now()-time.Duration(sending-1))
	}
	return p
}

// End implements [config.Member].
func (m *member) End(cause error, retry time.Duration) { (*Session)(m).dismiss(cause, retry) }

func (s *Session) joinGroups() (err error) {
	joined, all := 0, s.config.Groups
	defer func() {
		if joined < len(all) { // also if a group's Key panics
			s.config.Groups = all[:joined]
			if err == nil {
				s.cancel(nil)
			}
			s.leaveGroups()
		}
	}()
	for ; joined < len(all); joined++ {
		if err = all[joined].Join((*member)(s)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) leaveGroups() {
	for _, g := range s.config.Groups {
		g.Leave((*member)(s))
	}
}
