package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// minStep is the shortest time between two prices of a symbol, however short a tick is.
const minStep = 5 * time.Millisecond

// listing has the symbols and their first prices, in cents.
var listing = []struct {
	symbol string
	open   int
}{
	{"ASH", 4210}, {"BIRCH", 11875}, {"CEDAR", 860}, {"LARCH", 29340}, {"MAPLE", 6725}, {"OAK", 152400},
}

// A quote is a price.
type quote struct {
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
	Open   float64 `json:"open"` // the first price
	N      int     `json:"n"`    // the price's number, so that a client can count how many it has skipped
}

// A market has prices that move at random, always in the same way for the same seed.
type market struct {
	mu     sync.Mutex
	random *rand.Rand
	cents  []int // in the order of listing
	n      int
}

func newMarket(seed uint64) *market {
	m := &market{random: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a game
	for _, l := range listing {
		m.cents = append(m.cents, l.open)
	}
	return m
}

// step moves all prices, and calls tell with each.
func (m *market) step(tell func(quote)) {
	m.mu.Lock() // also while it calls tell, so that prices are published in order
	defer m.mu.Unlock()
	m.n++
	for i, l := range listing {
		// The price moves by a few hundredths of a percent, and back towards its start a little.
		change := m.random.NormFloat64()*0.0006*float64(m.cents[i]) + 0.0004*float64(l.open-m.cents[i])
		m.cents[i] = max(1, m.cents[i]+int(math.Round(change)))
		tell(quote{Symbol: l.symbol, Price: float64(m.cents[i]) / 100, Open: float64(l.open) / 100, N: m.n})
	}
}

// trade moves the prices and publishes them. A price replaces all earlier ones of its
// symbol, so a slow client skips to the latest.
func (d *demo) trade() {
	d.market.step(func(q quote) {
		d.announce("ticker."+q.Symbol, "", q, hub.WithKey(q.Symbol))
	})
}

// ticker streams the prices of some symbols, separated by commas, or of all. It begins
// with the latest prices. They move only while somebody watches.
func (d *demo) ticker(ctx context.Context, symbols string) (core.Stream, error) {
	if symbols == "" {
		return d.hub.SubscribeFrom(ctx, hub.Oldest, "ticker.*"), nil
	}
	var topics, known []string
	for _, l := range listing {
		known = append(known, l.symbol)
	}
	for symbol := range strings.SplitSeq(symbols, ",") {
		if !slices.Contains(known, symbol) {
			return nil, &problem{http.StatusBadRequest, fmt.Sprintf("unknown symbol %.20q: try %s", symbol, strings.Join(known, ","))}
		}
		if topic := "ticker." + symbol; !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return d.hub.SubscribeFrom(ctx, hub.Oldest, topics...), nil
}
