package cache

import (
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// Writing is a write under way: of its keys nothing is told and nothing is kept.
type Writing[K comparable, V any] struct {
	near  *Near[K, V]
	under []*stripe
}

// unknownFor is how long a write whose fate is not known counts as under way: as long as a
// commit may take.
const unknownFor = 10 * time.Second

// Begin says that keys are about to be written. Their entries go at once, in all scopes, so
// that nobody who has seen the new value elsewhere is told the old one again.
func (c *Near[K, V]) Begin(keys ...K) *Writing[K, V] {
	w := &Writing[K, V]{near: c, under: make([]*stripe, len(keys))}
	for i, k := range keys {
		w.under[i] = c.stripes.of(k)
		w.under[i].begin(c.now())
	}
	c.counts.invalidations.Add(uint64(len(keys)))
	return w
}

// BeginAll says that any key may be about to be written.
func (c *Near[K, V]) BeginAll() *Writing[K, V] {
	c.stripes.all.begin(c.now())
	c.counts.invalidations.Add(1)
	return &Writing[K, V]{near: c, under: []*stripe{&c.stripes.all}}
}

// End says that the write is over, whether it was made or not: call it once, before the
// write is acknowledged. also are keys of which it became known only now that they were
// written. known false says that it may still be made: then nothing is kept of the keys
// for 10 s more.
func (w *Writing[K, V]) End(known bool, also ...K) {
	w.near.Forget(also...)
	if !known {
		time.AfterFunc(unknownFor, w.over)
		return
	}
	w.over()
}

func (w *Writing[K, V]) over() {
	for _, s := range w.under {
		s.end(w.near.now())
	}
}

// Forget drops the keys, in all scopes; see fulcrum.Cache.
func (c *Near[K, V]) Forget(keys ...K) {
	for _, k := range keys {
		c.stripes.of(k).forget(c.now())
	}
	c.counts.invalidations.Add(uint64(len(keys)))
}

// Clear drops everything.
func (c *Near[K, V]) Clear() {
	c.stripes.all.forget(c.now())
	c.counts.invalidations.Add(1)
	c.entries.Clear()
}

// Invalidating is a WriterConfig.Invalidate: it has c forget the key of each write, of
// merged ones that of the result.
func Invalidating[T, R any, K comparable, V any](c *Near[K, V], key func(T) K) func(*fulcrum.Commit[T, R]) func(known bool) {
	return func(commit *fulcrum.Commit[T, R]) func(bool) {
		if commit.Len() == 0 {
			all := c.BeginAll()
			return func(known bool) { all.End(known) }
		}
		keys := make([]K, commit.Len())
		for i, item := range commit.Items() {
			keys[i] = key(item)
		}
		w := c.Begin(keys...)
		return func(known bool) { w.End(known) }
	}
}
