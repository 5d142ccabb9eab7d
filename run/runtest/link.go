package runtest

import (
	"context"
	"sync/atomic"

	"github.com/yieldsse/yieldsse/run"
)

// A Link is a store as one process sees it, which can lose its connection.
type Link struct {
	store run.Store
	cut   atomic.Bool
}

var _ run.Store = (*Link)(nil)

// NewLink returns a link to a store.
func NewLink(s run.Store) *Link { return &Link{store: s} }

// Cut has all calls fail from now on.
func (l *Link) Cut() { l.cut.Store(true) }

// through calls the store, unless the link is cut. An answer may be lost.
func through[T any](l *Link, f func() (T, error)) (T, error) {
	var none T
	if l.cut.Load() {
		return none, errDown
	}
	value, err := f()
	if l.cut.Load() {
		return none, errDown
	}
	return value, err
}

// Claim implements [run.Store].
func (l *Link) Claim(ctx context.Context, c run.Claim) (run.Record, error) {
	return through(l, func() (run.Record, error) { return l.store.Claim(ctx, c) })
}

// Append implements [run.Store].
func (l *Link) Append(ctx context.Context, c run.Claim, b run.Batch) (*run.StopRequest, error) {
	return through(l, func() (*run.StopRequest, error) { return l.store.Append(ctx, c, b) })
}

// End implements [run.Store].
func (l *Link) End(ctx context.Context, c run.Claim, e run.End) error {
	_, err := through(l, func() (bool, error) { return true, l.store.End(ctx, c, e) })
	return err
}

// Get implements [run.Store].
func (l *Link) Get(ctx context.Context, key string) (run.Record, error) {
	return through(l, func() (run.Record, error) { return l.store.Get(ctx, key) })
}

// Read implements [run.Store].
func (l *Link) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	return through(l, func() (run.Page, error) { return l.store.Read(ctx, key, id, cursor) })
}

// Stop implements [run.Store].
func (l *Link) Stop(ctx context.Context, key string, r run.StopRequest) (run.Record, error) {
	return through(l, func() (run.Record, error) { return l.store.Stop(ctx, key, r) })
}

// List implements [run.Store].
func (l *Link) List(ctx context.Context) ([]run.Record, error) {
	return through(l, func() ([]run.Record, error) { return l.store.List(ctx) })
}

// Watch implements [run.Store].
func (l *Link) Watch(key string, h run.Hint, f func()) (cancel func()) {
	return l.store.Watch(key, h, func() {
		if !l.cut.Load() {
			f()
		}
	})
}
