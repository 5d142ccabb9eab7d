package hub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

// Thousands of clients come back to a hub that has nothing in its memory. Its log is read
// a few times, and each client gets everything that is its own.
func TestHerd(t *testing.T) {
	const (
		behind = 600
		every  = 20 // one in this many is an event that they want
		most   = 16 // reads
	)
	for _, test := range []struct {
		name    string
		clients int
		place   func(client int) int // events behind
		fail    bool                 // the first read
	}{
		{"from the same place", 2_000, func(int) int { return behind }, false},
		{"each from its own place", 2_000, func(client int) int { return behind - client%500/every*every }, false},
		{"the first read fails", 100, func(int) int { return behind }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &trick{MemoryLog: new(hubtest.MemoryLog)}
				ids := []string{over(t, l).LastID()}
				publisher := over(t, l)
				for i := range behind {
					publish(t, publisher, []string{"a", "b"}[min(i%every, 1)], fmt.Sprint(i))
					synctest.Wait()
					ids = append(ids, publisher.LastID())
				}
				l.read = func() error {
					sleep(10 * time.Millisecond)
					if test.fail && l.reads.Load() == 1 {
						return errors.New("it fails")
					}
					return nil
				}
				h := over(t, l)
				var running sync.WaitGroup
				for i := range test.clients {
					running.Go(func() {
						next := behind - test.place(i)
						for e, err := range h.SubscribeFrom(t.Context(), hub.After(ids[next]), "a") {
							if err != nil || e.Data != fmt.Sprint(next) {
								t.Errorf("client %d got %+v, %v, want %d", i, e, err, next)
								return
							}
							if next += every; next >= behind {
								return
							}
						}
					})
				}
				running.Wait()
				if reads := l.reads.Load(); reads > most {
					t.Errorf("the log was read %d times, want at most %d", reads, most)
				}
			})
		})
	}
}

// Clients whose IDs are of another epoch cause only a few questions for the last ID.
func TestHerdOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		publisher := over(t, l)
		publishAll(t, publisher, "a", "1 2 3")
		synctest.Wait()
		old := publisher.LastID()
		l.Restart()
		publishAll(t, publisher, "a", "4 5")
		var asked atomic.Int64
		l.last = func() error {
			asked.Add(1)
			sleep(10 * time.Millisecond)
			return nil
		}
		h := over(t, l)
		var all []*listener
		for range 200 {
			all = append(all, listen(t, h, hub.After(old), "a"))
		}
		sleep(time.Second)
		for _, c := range all {
			c.want("GAP:restarted 4 5")
		}
		if asked.Load() > 8 || l.reads.Load() > 8 {
			t.Errorf("the log was asked for its last ID %d times and read %d times, want at most 8", asked.Load(), l.reads.Load())
		}
	})
}

// A client that leaves does not end a read that others wait for. When all have left, it
// ends.
func TestReadIsShared(t *testing.T) {
	for _, leave := range []int{1, 3} {
		t.Run(fmt.Sprint(leave, " of 3 leave"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &hanging{&trick{MemoryLog: new(hubtest.MemoryLog)}, newGate()}
				publisher := over(t, l)
				from := publisher.LastID()
				publishAll(t, publisher, "a", "1 2")
				h := over(t, l)
				l.gate.close()
				var got atomic.Int64
				var leavers []context.CancelFunc
				var running sync.WaitGroup
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					leavers = append(leavers, cancel)
					running.Go(func() {
						for e, err := range h.SubscribeFrom(ctx, hub.After(from), "a") {
							if err != nil {
								t.Error(err)
							}
							if got.Add(1); e.Data == "2" {
								return
							}
						}
					})
					synctest.Wait()
				}
				for _, cancel := range leavers[:leave] {
					cancel()
				}
				synctest.Wait()
				began := time.Now()
				l.gate.open()
				running.Wait()
				synctest.Wait()
				if n, want := l.reads.Load(), int64(min(3-leave, 1)); n != want {
					t.Errorf("the log was read %d times, want %d", n, want)
				}
				if waited := time.Since(began); waited > 0 {
					t.Errorf("it took %v after the read was released", waited)
				}
				if want := int64(2 * (3 - leave)); got.Load() != want {
					t.Errorf("they got %d events, want %d", got.Load(), want)
				}
			})
		})
	}
}

// A client that joins a read that has found nothing is told what has come since that began.
func TestReadIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, g := late(new(hubtest.MemoryLog))
		one, two := over(t, slow.MemoryLog), over(t, slow, hub.WithMaxEvents(1))
		g.close()
		defer g.open()
		slow.Restart() // so that no position is in the second hub's memory
		publish(t, one, "a", "1")
		synctest.Wait()
		from := one.LastID()
		slow.read = func() error {
			sleep(10 * time.Millisecond)
			return nil
		}
		early := listen(t, two, hub.After(from), "a")
		publish(t, one, "a", "2")
		joined := listen(t, two, hub.After(from), "a")
		sleep(100 * time.Millisecond)
		joined.want("2")
		early.want("")
		sleep(time.Second)
		early.want("2")
	})
}

// An exitingLog ends the goroutine that reads it first.
type exitingLog struct {
	*hubtest.MemoryLog

	exits *atomic.Int32
}

func (l exitingLog) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	if l.exits.Add(-1) >= 0 {
		runtime.Goexit()
	}
	return l.MemoryLog.Range(ctx, after, n)
}

// A log that ends the goroutine that reads it is read again, as after an error.
func TestReadGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := exitingLog{new(hubtest.MemoryLog), new(atomic.Int32)}
		publishAll(t, over(t, l), "a", "1 2 3")
		h := over(t, l)
		l.exits.Store(10)
		reader := listenWith(t, h, "", []string{"a"}, hub.From(hub.Oldest))
		reader.want("")
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		reader.want("1 2 3")
	})
}
