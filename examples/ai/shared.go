package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/run"
)

// The names of what the server keeps.
const (
	turnsName   = "ai-turns"
	answersName = "ai-answers"
)

// maxSharedTurns is how many turns of all conversations the server keeps. The oldest ones are
// dropped.
const maxSharedTurns = 10_000

// reachable is how long the server may take to answer for the first time.
const reachable = 5 * time.Second

// shared is what several processes have in common. If it is zero, all is in memory.
type shared struct {
	turns   hub.Log
	answers run.Store
}

// openRedis returns what is on a Redis server, which must answer.
func openRedis(ctx context.Context, server string) (s shared, closeAll func(), err error) {
	o, err := redis.ParseURL(server)
	if err != nil {
		return shared{}, nil, err
	}
	options := &redis.UniversalOptions{
		Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
	}
	turns := redislog.New(options, turnsName, redislog.WithMaxEvents(maxSharedTurns))
	answers := redislog.NewRuns(options, answersName)
	closeAll = func() {
		_ = answers.Close()
		_ = turns.Close()
	}
	if err := reach(ctx, turns); err != nil {
		closeAll()
		return shared{}, nil, err
	}
	return shared{turns, answers}, closeAll, nil
}

// openNATS returns what is on a NATS server, which must answer.
func openNATS(ctx context.Context, server string) (s shared, closeAll func(), err error) {
	nc, err := nats.Connect(server, nats.Timeout(reachable), nats.MaxReconnects(-1))
	if err != nil {
		return shared{}, nil, fmt.Errorf("the server cannot be used: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return shared{}, nil, err
	}
	turns := natslog.New(js, turnsName, natslog.WithMaxEvents(maxSharedTurns))
	if err := reach(ctx, turns); err != nil {
		nc.Close()
		return shared{}, nil, err
	}
	answers := natslog.NewRuns(js, answersName)
	return shared{turns, answers}, func() {
		_ = answers.Close()
		nc.Close()
	}, nil
}

// reach waits for an answer of a log's server.
func reach(ctx context.Context, log hub.Log) error {
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	if _, err := log.Last(ctx); err != nil {
		return fmt.Errorf("the server cannot be used: %w", err)
	}
	return nil
}
