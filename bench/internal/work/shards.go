//go:build linux

package work

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

// A Shard is a server, and a process that holds its clients.
type Shard struct {
	Server, Readers *process.Process
	Conns           int

	crowd reader.RemoteCrowd
}

// Shards are as many servers as the limit on open files makes necessary.
type Shards []*Shard

// PerProcess returns how many connections a process may have, after it has raised the
// limit on open files as far as it is allowed to and conns need.
func PerProcess(conns int) (int, error) {
	const others = 200
	limit, err := process.Files(conns + others)
	if err == nil && limit <= others {
		err = fmt.Errorf("work: a process may open only %d files: raise the limit, as with ulimit -n 20000", limit)
	}
	return limit - others, err
}

// StartShards starts servers of that name for conns connections, with at most each
// connections to a server. The caller must call Stop, also after an error.
func StartShards(name string, conns, each int, env ...string) (s Shards, err error) {
	n := (conns + each - 1) / each
	for i := range n {
		one := &Shard{Conns: conns*(i+1)/n - conns*i/n}
		if one.Server, err = process.Start(name, env...); err != nil {
			return s, err
		}
		s = append(s, one)
		if one.Readers, err = process.Start(server.Crowd); err != nil {
			return s, err
		}
		one.crowd = reader.RemoteCrowd{Addr: one.Readers.Addr}
	}
	return s, nil
}

// Stop ends all processes.
func (s Shards) Stop() (err error) {
	for _, one := range s {
		if one.Readers != nil {
			err = errors.Join(err, one.Readers.Stop())
		}
		err = errors.Join(err, one.Server.Stop())
	}
	return err
}

// Warm allocates what only the first connections need.
func (s Shards) Warm() error {
	const few = 20
	return s.all(len(s), func(one *Shard) error {
		err := one.crowd.Open(one.Server.Addr, few, server.Events)
		if err == nil {
			err = one.crowd.Close()
		}
		if err == nil {
			err = one.Server.Settle()
		}
		return err
	})
}

// Open opens all connections, and calls progress with the number of new ones now and
// then, from several goroutines.
func (s Shards) Open(progress func(more int)) error {
	const step = 1000
	return s.all(runtime.NumCPU(), func(one *Shard) error {
		for left := one.Conns; left > 0; left -= step {
			if err := one.crowd.Open(one.Server.Addr, min(left, step), server.Events); err != nil {
				return err
			}
			progress(min(left, step))
		}
		return nil
	})
}

// Memory returns what the servers and the readers hold.
func (s Shards) Memory() (servers, readers process.Memory, err error) {
	var m process.Memory
	for _, one := range s {
		if m, err = one.Server.Memory(); err != nil {
			break
		}
		servers = servers.Add(m)
		if m, err = one.Readers.Memory(); err != nil {
			break
		}
		readers = readers.Add(m)
	}
	return servers, readers, err
}

// CPU returns the CPU time of the servers and of the readers.
func (s Shards) CPU() (servers, readers time.Duration, err error) {
	var u process.Usage
	for _, one := range s {
		if u, err = one.Server.Usage(); err != nil {
			break
		}
		servers += u.CPU
		if u, err = one.Readers.Usage(); err != nil {
			break
		}
		readers += u.CPU
	}
	return servers, readers, err
}

// State says what all readers have received.
func (s Shards) State() (sum reader.State, err error) {
	for _, one := range s {
		state, err := one.crowd.State()
		if err != nil {
			return sum, err
		}
		sum = sum.Add(state)
	}
	return sum, nil
}

// Beats are what heartbeats cost.
type Beats struct {
	Arrived          int           // at all readers
	Servers, Readers time.Duration // CPU time
	Took             time.Duration
}

// Heartbeats waits for d. The connections were opened over some time, so their
// heartbeats are spread over a period: d should be a whole one.
func (s Shards) Heartbeats(d time.Duration) (b Beats, err error) {
	before, err := s.State()
	if err != nil {
		return b, err
	}
	begin := time.Now()
	servers, readers, err := s.CPU()
	if err != nil {
		return b, err
	}
	<-time.After(d - time.Since(begin))
	if b.Servers, b.Readers, err = s.CPU(); err != nil {
		return b, err
	}
	b.Took = time.Since(begin)
	after, err := s.State()
	return Beats{after.Comments - before.Comments, b.Servers - servers, b.Readers - readers, b.Took}, err
}

// Mark calls the Mark of all readers.
func (s Shards) Mark() error {
	return s.all(len(s), func(one *Shard) error { return one.crowd.Mark() })
}

// Latencies returns those of all readers' events since Mark.
func (s Shards) Latencies() (all []time.Duration, err error) {
	for _, one := range s {
		some, err := one.crowd.Latencies()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Leave closes all connections. It returns how long that took, and how long until the
// servers had noticed.
func (s Shards) Leave() (closed, noticed time.Duration, err error) {
	const patience = 5 * time.Minute
	begin := time.Now()
	if err := s.all(len(s), func(one *Shard) error { return one.crowd.Close() }); err != nil {
		return 0, 0, err
	}
	closed = time.Since(begin)
	for _, one := range s {
		for {
			count, err := one.count()
			if err != nil {
				return 0, 0, err
			}
			if count == 0 {
				break
			}
			if time.Since(begin) > patience {
				return 0, 0, fmt.Errorf("work: a server still has %d connections %v after all clients left", count, patience)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	return closed, time.Since(begin), nil
}

func (one *Shard) count() (int, error) {
	body, err := get(one.Server, server.Count)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(body)))
}

// all calls do for each shard, for n at a time.
func (s Shards) all(n int, do func(*Shard) error) error {
	room, errs := make(chan bool, n), make(chan error)
	for _, one := range s {
		go func() {
			room <- true
			err := do(one)
			<-room
			errs <- err
		}()
	}
	var err error
	for range s {
		err = errors.Join(err, <-errs)
	}
	return err
}
