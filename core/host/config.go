package host

import (
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// settings are set by core's options.
type settings = config.Config[core.Event, core.Observer]

// configure sets c, in place because it is large, and would be allocated twice.
func configure(c *settings, opts []core.Option) {
	*c = settings{
		Heartbeat:    15 * time.Second,
		Beats:        &comments,
		WriteTimeout: 30 * time.Second,
		FlushWindow:  time.Millisecond,
	}
	for _, o := range opts {
		if o != nil {
			o(c)
		}
	}
	for _, o := range c.Observers {
		c.Counted = c.Counted || o.Wrote != nil
	}
	for _, d := range []*time.Duration{&c.Heartbeat, &c.WriteTimeout, &c.FlushWindow, &c.MaxDuration} {
		*d = min(*d, pause.Longest)
	}
}
