package runtest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/run"
)

// An end is final.
func checkEnd(f *fixture) {
	s, other := f.store(), f.store()
	for _, end := range []run.End{
		{Outcome: run.Returned, Clean: true}, {Outcome: run.Failed, Message: "it has failed: \"why\" ä"},
		{Outcome: run.Stopped, Clean: true}, {Outcome: run.Stopped}, {Outcome: run.ShutDown},
	} {
		c := claim("x", long)
		f.begin(s, c)
		f.append(s, c, 1, "one", "two")
		end.Events, end.Bytes = 2, 200
		f.isError("end", s.End(soon(f), c, end), nil)
		f.isError("end again", s.End(soon(f), c, end), nil)
		wrong := end
		wrong.Outcome = run.Returned + "?"
		f.isError("another end", s.End(soon(f), c, wrong), run.ErrLost)
		_, err := s.Append(soon(f), c, batch(c, 3, "three"))
		f.isError("append after the end", err, run.ErrLost)
		_, err = s.Append(soon(f), c, batch(c, 5, "five"))
		f.isError("append after the end, with a hole", err, run.ErrLost)
		wrong = end
		wrong.Events = 7
		f.isError("end with more events", s.End(soon(f), c, wrong), run.ErrLost)
		r, err := other.Get(soon(f), c.Key)
		if err != nil || r.End != end || r.Ended.Before(r.Started) || r.Left != 0 {
			f.Errorf("got %+v, %v, want the end %+v", r, err, end)
		}
		f.equal("entries", f.read(other, c.Key, c.ID), batch(c, 1, "one", "two").Entries)
		// A new run takes its place, and it can still be read.
		next := claim(c.Key, long)
		f.begin(other, next)
		f.equal("entries of the new one", len(f.read(other, c.Key, next.ID)), 0)
		f.equal("entries of the old one", f.read(other, c.Key, c.ID), batch(c, 1, "one", "two").Entries)
		f.isError("end the new one", other.End(soon(f), next, run.End{Outcome: run.Returned, Clean: true}), nil)
	}
	c := claim("y", long)
	f.begin(s, c)
	f.isError("end with an event that it does not have", s.End(soon(f), c, run.End{Outcome: run.Returned, Events: 1}), run.ErrLost)
	f.isError("end no run", s.End(soon(f), claim("none", long), run.End{}), run.ErrLost)
}

// A run whose lease has ended is lost forever, whoever looks first.
func checkLease(f *fixture) {
	s, other := f.store(), f.store()
	look := []func(c run.Claim){
		func(c run.Claim) {
			f.until("get says that it is lost", func() bool {
				r, err := other.Get(soon(f), c.Key)
				return err == nil && r.Outcome == run.Lost && !r.Ended.IsZero()
			})
		},
		func(c run.Claim) {
			f.until("read says that it is lost", func() bool {
				p, err := other.Read(soon(f), c.Key, c.ID, "")
				return err == nil && p.Record.Outcome == run.Lost && len(p.Entries) == 1
			})
		},
		func(c run.Claim) {
			next := claim(c.Key, long)
			f.until("a claim replaces it", func() bool {
				r, err := other.Claim(soon(f), next)
				return err == nil && r.ID == next.ID
			})
		},
	}
	for i, see := range look {
		c := f.brief(s, fmt.Sprint("x", i), patience)
		see(c)
		_, err := s.Append(soon(f), c, batch(c, 2))
		f.isError("append", err, run.ErrLost)
		f.isError("end", s.End(soon(f), c, run.End{Outcome: run.Returned, Clean: true, Events: 1}), run.ErrLost)
		p, err := other.Read(soon(f), c.Key, c.ID, "")
		if err != nil || p.Record.Outcome != run.Lost || !slices.Equal(p.Entries, batch(c, 1, "one").Entries) {
			f.Errorf("got %+v, %v, want a lost run", p, err)
		}
	}
	// What is renewed goes on for longer.
	c := claim("renewed", short)
	began := time.Now()
	f.beginBriefly(s, c)
	for ; time.Since(began) < 2*short; <-time.After(short / 10) {
		if _, err := s.Append(soon(f), c, batch(c, 1)); err != nil {
			if time.Since(began) > short/2 { // the machine may have stalled
				f.Logf("not renewed: %v", err)
				return
			}
			f.Fatal(err)
		}
	}
}

// brief begins a run with a short lease and one entry.
func (f *fixture) brief(s run.Store, key string, retention time.Duration) run.Claim {
	f.Helper()
	for range 20 {
		c := claim(key, short)
		c.Retention = retention
		f.beginBriefly(s, c)
		_, err := s.Append(soon(f), c, batch(c, 1, "one"))
		if err == nil {
			return c
		}
		f.isError("append", err, run.ErrLost) // the machine has stalled
	}
	f.Fatal("no run lasts")
	return run.Claim{}
}

// What has ended is held for its retention time, and its entries at least for a lease.
func checkRetention(f *fixture) {
	s := f.store()
	c := claim("x", long)
	c.Retention = time.Second
	f.begin(s, c)
	f.append(s, c, 1, "one")
	f.isError("end", s.End(soon(f), c, run.End{Outcome: run.Returned, Clean: true, Events: 1}), nil)
	f.until("it is dropped", func() bool {
		_, err := s.Get(soon(f), "x")
		return errors.Is(err, run.ErrNotHeld)
	})
	f.equal("entries", f.read(s, "x", c.ID), batch(c, 1, "one").Entries)

	c = claim("forever", math.MaxInt64)
	c.Retention = math.MaxInt64
	f.begin(s, c)
	f.append(s, c, 1, "one")
	r, err := s.Get(soon(f), c.Key)
	if err != nil || r.Outcome != "" || r.Lease < time.Hour || r.Retention < time.Hour || r.Left < time.Hour {
		f.Errorf("got %+v, %v, want a run that lasts", r, err)
	}
	f.isError("end", s.End(soon(f), c, run.End{Outcome: run.Returned, Clean: true, Events: 1}), nil)
	_, err = s.Get(soon(f), c.Key)
	f.isError("get", err, nil)

	c = f.brief(s, "x", 0) // not kept at all
	if err := s.End(soon(f), c, run.End{Outcome: run.Returned, Clean: true, Events: 1}); err != nil && !errors.Is(err, run.ErrLost) {
		f.Error(err)
	}
	_, err = s.Get(soon(f), "x")
	f.isError("get with no retention", err, run.ErrNotHeld)
	f.until("its entries are dropped", func() bool {
		_, err := s.Read(soon(f), "x", c.ID, "")
		return errors.Is(err, run.ErrNotHeld)
	})
}
