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

// dialer returns what the client is to dial with. When it fails, go-redis would
// write a line to the log of the whole process, as nobody has asked it to. So what
// it gets never fails, but is a connection that does, and says why.
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

// Wrapped, since go-redis unwraps what has happened to a new connection.
func (b broken) Read([]byte) (int, error)  { return 0, fmt.Errorf("%w", b.err) }
func (b broken) Write([]byte) (int, error) { return 0, fmt.Errorf("%w", b.err) }

// once is a hook for the nodes of a cluster. Whatever MaxRetries says, its client
// sends a command again when a connection has broken, and the event would be there
// twice. It does so no more if it cannot tell what the error is.
type once struct{}

func (once) DialHook(next redis.DialHook) redis.DialHook { return next }

func (once) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return seal(next(ctx, cmd)) }
}

// A slot that moves has commands sent in a pipeline.
func (once) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return seal(next(ctx, cmds)) }
}

// A final error does not unwrap.
type final struct{ error }

// seal makes an error final that Redis has not answered.
func seal(err error) error {
	if _, ok := err.(redis.Error); err == nil || ok { //nolint:errorlint // it is not wrapped here
		return err
	}
	return final{err}
}

// reveal undoes seal.
func reveal(err error) error {
	var opaque final
	for errors.As(err, &opaque) {
		err = opaque.error
	}
	return err
}
