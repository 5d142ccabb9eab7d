// Package remotelog shares a log of one process with others, over a loopback connection
// for each, so that the hubs of many processes have one log without any other program.
package remotelog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/rpc"

	"github.com/yieldsse/yieldsse/hub"
)

// Serve answers the calls of other processes with those of l, until ln is closed.
func Serve(ln net.Listener, l hub.Log) error {
	s := rpc.NewServer()
	if err := s.RegisterName("Log", &Service{l}); err != nil {
		return fmt.Errorf("remotelog: %w", err)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("remotelog: %w", err)
		}
		go s.ServeConn(conn)
	}
}

// Service has the methods that are called from other processes.
type Service struct{ log hub.Log }

// An Order is the result of a Compare.
type Order struct {
	Order      int
	OtherEpoch bool
}

// Pair has the two IDs of a Compare.
type Pair struct{ A, B string }

// Position says which entries a Range returns.
type Position struct {
	After string
	N     int
}

// Append calls the log's Append.
func (s *Service) Append(e hub.Entry, id *string) (err error) {
	*id, err = s.log.Append(context.Background(), e)
	return err
}

// Last calls the log's Last.
func (s *Service) Last(_ bool, id *string) (err error) {
	*id, err = s.log.Last(context.Background())
	return err
}

// Range calls the log's Range.
func (s *Service) Range(p Position, entries *[]hub.Entry) (err error) {
	*entries, err = s.log.Range(context.Background(), p.After, p.N)
	return err
}

// TopicOf calls the log's TopicOf.
func (s *Service) TopicOf(id string, topic *string) (err error) {
	*topic, err = s.log.TopicOf(context.Background(), id)
	return err
}

// Next returns what the log's Follow yields first, after a second at most.
func (s *Service) Next(after string, entry *hub.Entry) (err error) {
	for e, err := range s.log.Follow(context.Background(), after) {
		*entry = e
		return err
	}
	return errors.New("remotelog: the log yielded nothing")
}

// Compare calls the log's Compare.
func (s *Service) Compare(p Pair, o *Order) (err error) {
	o.Order, err = s.log.Compare(p.A, p.B)
	if o.OtherEpoch = errors.Is(err, hub.ErrOtherEpoch); o.OtherEpoch {
		return nil
	}
	return err
}

// A Log is a log of another process.
type Log struct{ client *rpc.Client }

// Dial returns the log that a process serves at addr.
func Dial(addr string) (*Log, error) {
	client, err := rpc.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("remotelog: %w", err)
	}
	return &Log{client}, nil
}

// Close breaks off the connection.
func (l *Log) Close() error { return l.client.Close() }

func call[Answer any](ctx context.Context, l *Log, method string, argument any) (answer Answer, err error) {
	if ctx.Err() != nil {
		return answer, fmt.Errorf("remotelog: %s: %w", method, context.Cause(ctx))
	}
	// A call that is abandoned may still write its answer.
	result := new(Answer)
	done := l.client.Go("Log."+method, argument, result, make(chan *rpc.Call, 1)).Done
	select {
	case c := <-done:
		if c.Error != nil {
			return answer, fmt.Errorf("remotelog: %s: %w", method, c.Error)
		}
		return *result, nil
	case <-ctx.Done():
		return answer, fmt.Errorf("remotelog: %s: %w", method, context.Cause(ctx))
	}
}

// Append implements [hub.Log].
func (l *Log) Append(ctx context.Context, e hub.Entry) (id string, err error) {
	return call[string](ctx, l, "Append", e)
}

// Last implements [hub.Log].
func (l *Log) Last(ctx context.Context) (id string, err error) {
	return call[string](ctx, l, "Last", true)
}

// Range implements [hub.Log].
func (l *Log) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	return call[[]hub.Entry](ctx, l, "Range", Position{after, n})
}

// TopicOf implements [hub.Log].
func (l *Log) TopicOf(ctx context.Context, id string) (topic string, err error) {
	return call[string](ctx, l, "TopicOf", id)
}

// Follow implements [hub.Log].
func (l *Log) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	return func(yield func(hub.Entry, error) bool) {
		for {
			e, err := call[hub.Entry](ctx, l, "Next", after)
			if e.ID != "" {
				after = e.ID
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Compare implements [hub.Log].
func (l *Log) Compare(a, b string) (int, error) {
	o, err := call[Order](context.Background(), l, "Compare", Pair{a, b})
	if err == nil && o.OtherEpoch {
		err = hub.ErrOtherEpoch
	}
	return o.Order, err
}
