package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// firstNews is how many items there are at the start.
const firstNews = 4

var sections = []string{"town", "science", "sport", "weather"}

// headlines are published in this order, over and over. Their sections take turns.
var headlines = []string{
	"The library's lost umbrellas get a shelf of their own",
	"A pendulum in the old tower has swung for a year without a push",
	"The rowing club wins by the length of a duck",
	"Fog until ten, then a sky like a fresh sheet of paper",

	"The night bus stops at the bakery again",
	"Moss grows faster to music, says a patient student",
	"Chess in the park ends in a draw, and in soup for all",
	"A light wind from the west, good for kites and washing",

	"The clock at the station is right once more, and twice as loud",
	"Twelve new words have been found in a jar of old letters",
	"A goalkeeper of eight saves nine of ten",
	"Rain on the hills; the valley borrows the sun",

	"Somebody has knitted a scarf for the bridge",
	"A telescope on a roof sees the same comet as everybody else",
	"Table tennis: the longest rally lasts through two lunches",
	"First snow on the summit, last plums in the gardens",
}

// An item is one piece of news.
type item struct {
	Section  string    `json:"section"`
	Headline string    `json:"headline"`
	Time     time.Time `json:"time"`
}

// A desk knows which item comes next.
type desk struct{ told atomic.Uint64 }

func (k *desk) next() item {
	n := k.told.Add(1) - 1
	return item{
		Section:  sections[n%uint64(len(sections))],
		Headline: headlines[n%uint64(len(headlines))],
		Time:     time.Now(),
	}
}

// report publishes the next item to the readers of its section and of all sections.
func (d *demo) report() {
	i := d.desk.next()
	d.announce("news."+i.Section, "", i)
}

// news streams one section, or all if section is empty. It begins with the items that the
// hub holds.
func (d *demo) news(ctx context.Context, section string) (core.Stream, error) {
	switch {
	case section == "":
		return d.hub.SubscribeFrom(ctx, hub.Oldest, "news.>"), nil
	case !slices.Contains(sections, section):
		return nil, &problem{http.StatusBadRequest, fmt.Sprintf("unknown section %.20q: try %s", section, strings.Join(sections, " or "))}
	}
	return d.hub.SubscribeFrom(ctx, hub.Oldest, "news."+section), nil
}
