package redislog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialTimeout is go-redis's default.
const dialTimeout = 5 * time.Second

// dialer returns the client's Dialer. When dialing fails, go-redis writes a line to
// the log of the whole process, which nobody has asked for. So this Dialer never fails, but
// returns a connection that does, with the error.
func (l *Log) dialer(o *redis.UniversalOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := o.Dialer
	if dial == nil {
		options := redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig}
		if options.DialTimeout == 0 {
			options.DialTimeout = dialTimeout
		}
		dial = redis.NewDialer(&options)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		l.dials.Add(1)
		c, err := dial(ctx, network, addr)
		if _, ok := l.nodes.Load(addr); ok {
			l.nodes.Store(addr, err == nil)
		}
		if err == nil {
			return c, nil
		}
		nowhere, _ := net.Pipe()
		return broken{nowhere, err}, nil
	}
}

// A broken connection is one that could not be made.
type broken struct {
	net.Conn
	err error
}

// The error is wrapped, because go-redis unwraps errors of new connections.
func (b broken) Read([]byte) (int, error)  { return 0, fmt.Errorf("%w", b.err) }
func (b broken) Write([]byte) (int, error) { return 0, fmt.Errorf("%w", b.err) }

// once is a hook for the nodes of a cluster. Whatever MaxRetries says, a cluster's client
// sends a command again when a connection has broken, and the event would be added
// twice. It does not if it cannot recognize the error.
type once struct{}

func (once) DialHook(next redis.DialHook) redis.DialHook { return next }

func (once) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return seal(next(ctx, cmd)) }
}

// While a slot moves, commands are sent in a pipeline.
func (once) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return seal(next(ctx, cmds)) }
}

// A final error does not unwrap.
type final struct{ error }

// seal makes an error final, unless it is an answer of Redis.
func seal(err error) error {
	if _, ok := err.(redis.Error); err == nil || ok { //nolint:errorlint // it is not wrapped here
		return err
	}
	return final{err}
}

// reveal is the inverse of seal.
func reveal(err error) error {
	var opaque final
	for errors.As(err, &opaque) {
		err = opaque.error
	}
	return err
}
