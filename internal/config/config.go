// Package config has what core and the sessions of core/host share but do not export: the
// settings of options, and how a session, its groups and its context see each other. core
// imports it, so it has type parameters in place of core's types.
package config

import (
	"context"
	"time"
)

// A Config is the settings of a handler's options. The options of core document each field.
type Config[Event, Observer any] struct {
	Heartbeat    time.Duration
	Beats        *Beats
	Retry        time.Duration
	WriteTimeout time.Duration
	FlushWindow  time.Duration
	MaxDuration  time.Duration
	Expiry       func(context.Context) time.Time
	Recheck      *Recheck
	Groups       []Group
	ErrorEvent   func(error) Event
	Observers    []Observer
	Counted      bool // an observer wants to know of each write; a session sets it
	Detach       bool
	Compress     bool
	QueryID      bool
}

// A Recheck is how often and whom a session asks whether it may continue. Sessions share it.
type Recheck struct {
	Every time.Duration
	Ask   func(context.Context) error
}

// Beats are the frames that a session sends besides its events. Sessions share them.
type Beats struct {
	Greeting  string // at the beginning
	Heartbeat string // on a silent stream
	Silent    bool   // neither is an event to a client
	Err       error  // not nil if they cannot be sent
}
