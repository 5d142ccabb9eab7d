// Package config is what core and the sessions of core/host share and show to nobody
// else: what options have set, and what a session, its groups and its context are to
// each other. It stands below core, so type parameters stand for core's types.
package config

import "time"

// A Config is what a handler's options have set. The options of core say what each
// field means.
type Config[Event, Observer any] struct {
	Heartbeat    time.Duration
	Beats        *Beats
	Retry        time.Duration
	WriteTimeout time.Duration
	FlushWindow  time.Duration
	MaxDuration  time.Duration
	Groups       []Group
	ErrorEvent   func(error) Event
	Observer     Observer
	Detach       bool
	QueryID      bool
}

// Beats are the frames that a session sends by itself. Sessions share them.
type Beats struct {
	Greeting  string // at the beginning
	Heartbeat string // on a silent stream
	Silent    bool   // neither is an event to a client
	Err       error  // they cannot be sent
}
