package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// Options are what a soak does.
type options struct {
	seed    uint64
	length  time.Duration
	readers int
	hostile int           // at once
	pause   time.Duration // between two accidents, on average
	only    string        // the name of a kind; empty means all
}

const (
	servers     = 3 // with a log; without one, the only server is never restarted
	interval    = 50 * time.Millisecond
	sampleTime  = time.Second
	userTimeout = 5 * time.Second // TCP_USER_TIMEOUT of the listeners
)

// A soak is one run. Its first server is never restarted: what it has at the end is compared
// with what it had at the beginning.
type soak struct {
	options

	begin     time.Time
	redis     *redisLog // or nil
	fleet     []*process
	all       []*reader
	http      http.Client // of publishers
	readings  readings
	published map[string]*atomic.Int64 // by topic
	again     atomic.Int64
	counts    map[string]*counts // by kind
	result    Report

	mu    sync.Mutex
	wrong []string // what must not happen
}

// counts are what has become of the clients of a kind.
type counts struct {
	survived, away atomic.Int64
}

func newSoak(o options) *soak {
	s := &soak{options: o, published: map[string]*atomic.Int64{}, counts: map[string]*counts{}}
	s.http.Transport = &http.Transport{MaxIdleConnsPerHost: len(topics)}
	s.readings.conns, s.readings.fail = map[net.Conn]bool{}, s.fail
	for _, topic := range topics {
		s.published[topic] = new(atomic.Int64)
	}
	for _, k := range kinds {
		s.counts[k.name] = new(counts)
	}
	return s
}

// run runs the soak, once. An error says why it could not run; what has gone wrong is in the
// report.
func (s *soak) run(ctx context.Context) (*Report, error) {
	s.begin = time.Now()
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := s.start(ctx, dir); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	err = s.abuse(ctx)
	s.fail(s.stop())
	return s.report(), err
}

// report completes the report.
func (s *soak) report() *Report {
	r, c := &s.result, &s.readings
	r.Seed, r.Took, r.Readers, r.Servers, r.Log = s.seed, time.Since(s.begin), s.readers, len(s.fleet), "memory"
	if s.redis != nil {
		r.Log = "Redis"
	}
	for _, n := range s.published {
		r.Published += n.Load()
	}
	r.Again, r.Received, r.Connections = s.again.Load(), c.events.Load(), c.connections.Load()
	r.Ended, r.Broken, r.Lost, r.Twice, r.Told = c.ended.Load(), c.broken.Load(), c.lost.Load(), c.twice.Load(), c.told.Load()
	for _, k := range kinds {
		n := s.counts[k.name]
		r.Kinds = append(r.Kinds, KindCount{k.name, n.survived.Load(), n.away.Load()})
	}
	if r.Told > 0 && s.redis != nil { // without a log, the hub forgets after maxEvents
		s.fail(fmt.Errorf("readers were told of %d gaps, and nothing was dropped", r.Told))
	}
	r.Wrong = s.wrong
	return r
}

// progress describes the soak in one line.
func (s *soak) progress() string {
	var survived int64
	for _, n := range s.counts {
		survived += n.survived.Load()
	}
	c := &s.readings
	return fmt.Sprintf("%v of %v: %d readers have received %d events over %d connections, lost %d, twice %d; %d hostile clients survived",
		time.Since(s.begin).Round(time.Second), s.length, s.readers, c.events.Load(), c.connections.Load(),
		c.lost.Load(), c.twice.Load(), survived)
}

// start starts the log and the servers.
func (s *soak) start(ctx context.Context, dir string) error {
	log, n := "memory", 1
	if path, err := exec.LookPath("redis-server"); err == nil {
		if s.redis, err = startRedis(ctx, path, dir); err != nil {
			return err
		}
		log, n = s.redis.addr, servers
	}
	for range n {
		p, err := startProcess(log)
		if err != nil {
			return err
		}
		s.fleet = append(s.fleet, p)
	}
	return nil
}

// stop ends what start has started.
func (s *soak) stop() (err error) {
	for _, p := range s.fleet {
		err = errors.Join(err, p.stop(syscall.SIGTERM), p.close())
	}
	if s.redis != nil {
		s.redis.kill()
	}
	return err
}

// random returns a source of its own for a part of the soak, the same for the same seed.
func (s *soak) random(part int) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, uint64(part))) //nolint:gosec // not a secret, and not negative
}

func oneOf[T any](random *rand.Rand, all ...T) T { return all[random.IntN(len(all))] }

// fail records what must not happen.
func (s *soak) fail(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 20 {
		s.wrong = append(s.wrong, err.Error())
	}
}

// abuse lets everybody come, and waits until all have left.
func (s *soak) abuse(ctx context.Context) error {
	var publishing, hostile, reading, sampling sync.WaitGroup
	for i, k := range kinds { // so that what is made at the first use is there
		hostile.Go(func() { s.attack(ctx, k, s.random(i), s.fleet[0], fmt.Sprint("first", i)) })
	}
	hostile.Wait()
	base, err := s.settle(nil)
	if err != nil {
		return err
	}
	s.result.Start = base

	publish, stopPublishing := context.WithCancel(ctx)
	defer stopPublishing()
	for i, topic := range topics {
		publishing.Go(func() { s.publish(publish, topic, s.random(100+i)) })
	}
	sample, stopSampling := context.WithCancel(ctx)
	defer stopSampling()
	sampling.Go(func() { s.sample(sample) })
	read, leave := context.WithCancel(ctx)
	defer leave()
	s.gather(func(r *reader) { reading.Go(func() { r.read(read) }) })

	abuse, stopAbuse := context.WithTimeout(ctx, s.length)
	defer stopAbuse()
	for i := range s.hostile {
		hostile.Go(func() { s.torment(abuse, i) })
	}
	hostile.Go(func() { s.accidents(ctx, abuse) })
	hostile.Wait()

	s.await("all readers have an event", func() bool { return ctx.Err() != nil || s.behind(1) == 0 })
	stopPublishing()
	publishing.Wait()
	if ctx.Err() != nil {
		leave()
		reading.Wait()
		return context.Cause(ctx)
	}
	s.await("all readers have all events", func() bool { return s.behind(0) == 0 })
	s.result.Behind = s.behind(0)
	stopSampling()
	sampling.Wait()
	leave()
	reading.Wait()
	if s.result.Behind > 0 {
		s.fail(fmt.Errorf("%d readers did not receive the last event", s.result.Behind))
	}
	s.result.End, err = s.settle(&base)
	return err
}

// behind returns how many readers have not had as many events as were published, or only n
// of them if n is not 0.
func (s *soak) behind(n int64) (behind int) {
	for _, r := range s.all {
		want := n
		if n == 0 {
			want = s.published[r.topic].Load()
		}
		if r.last.Load() < want {
			behind++
		}
	}
	return behind
}

// await waits until ok, and fails if that takes too long.
func (s *soak) await(what string, ok func() bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range core.Every(ctx, 50*time.Millisecond) {
		if ok() {
			return
		}
	}
	s.fail(fmt.Errorf("%s: not within %v", what, patience))
}

// gather makes the readers.
func (s *soak) gather(begin func(*reader)) {
	random := s.random(200)
	for i := range s.readers {
		r := &reader{
			name: fmt.Sprint("reader", i), topic: oneOf(random, topics...), from: oneOf(random, "now", "oldest"),
			road: oneOf(random, roads...), random: s.random(1000 + i), count: &s.readings, fleet: s.fleet,
		}
		if i%2 == 0 {
			r.road = roads[0] // on all frameworks
		}
		s.all = append(s.all, r)
	}
	for _, r := range s.all {
		begin(r)
	}
}

// torment has one hostile client after the other.
func (s *soak) torment(ctx context.Context, i int) {
	random := s.random(1_000_000 + i)
	for n := 0; ctx.Err() == nil; n++ {
		k := kinds[(i+n)%len(kinds)]
		if s.only != "" {
			k = *kindNamed(s.only)
		}
		s.attack(ctx, k, random, oneOf(random, s.fleet...), fmt.Sprintf("hostile%d-%d", i, n))
	}
}

// attack runs one hostile client, and waits until its session has ended.
func (s *soak) attack(ctx context.Context, k kind, random *rand.Rand, server *process, name string) {
	a := &attack{ctx: ctx, random: random, server: server, name: name, start: server.starts.Load()}
	err := k.run(a)
	a.close()
	if (err == nil || errors.Is(err, errAway)) && a.path != "" {
		if left := a.ends("it has left"); left != nil {
			err = left
		}
	}
	switch {
	case err == nil:
		s.counts[k.name].survived.Add(1)
	case errors.Is(err, errors.ErrUnsupported): // by this system
	case !errors.Is(err, errAway):
		s.fail(fmt.Errorf("a client that %s: %w", k.name, err))
	case ctx.Err() == nil:
		s.counts[k.name].away.Add(1)
	}
}

// publish publishes the numbers of a topic. Each is published again until a server takes it.
func (s *soak) publish(ctx context.Context, topic string, random *rand.Rand) {
	for range core.Every(ctx, interval) {
		n := s.published[topic].Load() + 1
		if err := s.publishOne(topic, n, random); err != nil {
			s.fail(fmt.Errorf("event %d of topic %s was not published within %v: %w", n, topic, patience, err))
			return
		}
		s.published[topic].Store(n)
	}
}

func (s *soak) publishOne(topic string, n int64, random *rand.Rand) error {
	form := url.Values{"topic": {topic}, "n": {strconv.FormatInt(n, 10)}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := s.post(ctx, oneOf(random, s.fleet...), form)
	if err == nil {
		return nil
	}
	for range core.Every(ctx, interval) {
		s.again.Add(1)
		if err = s.post(ctx, oneOf(random, s.fleet...), form); err == nil {
			return nil
		}
	}
	return err
}

func (s *soak) post(ctx context.Context, p *process, form url.Values) error {
	if !p.up.Load() {
		return errAway
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addrs[plainHost]+"/publish?"+form.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// sample asks the servers now and then what they have.
func (s *soak) sample(ctx context.Context) {
	for range core.Every(ctx, max(sampleTime, s.length/300)) {
		for i, p := range s.fleet {
			if !p.up.Load() {
				continue
			}
			u, err := p.usage("usage")
			s.fail(err)
			if i == 0 && err == nil {
				u.At = time.Since(s.begin)
				s.result.sampled(u)
			}
		}
	}
}

// settle waits until the first server has no sessions, and no more files and goroutines than
// at first, and returns what it has.
func (s *soak) settle(base *Usage) (u Usage, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last Usage
	for range core.Every(ctx, 500*time.Millisecond) {
		s.http.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		if u, err = s.fleet[0].usage("usage"); err != nil {
			return u, err
		}
		u.At = time.Since(s.begin)
		same := u.Files == last.Files && u.Goroutines == last.Goroutines
		if last = u; u.Sessions == 0 && (base == nil && same || base != nil && u.flat(*base) == nil) {
			return u, nil
		}
	}
	if u, err = s.fleet[0].usage("stacks"); err != nil {
		return u, err
	}
	if base != nil {
		s.fail(u.flat(*base))
	}
	if u.Sessions > 0 {
		s.fail(fmt.Errorf("%d sessions are left when everybody has left", u.Sessions))
	}
	return u, nil
}
