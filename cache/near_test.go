package cache_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
)

func TestConfig(t *testing.T) {
	size := func(int, string) int { return 1 }
	for _, c := range []struct {
		cfg  cache.Config[int, string]
		want string // part of the error; empty: none
	}{
		{cache.Config[int, string]{}, "Entries or Bytes is missing"},
		{cache.Config[int, string]{Entries: 1, Bytes: 1}, "both set"},
		{cache.Config[int, string]{Bytes: 1}, "needs Size"},
		{cache.Config[int, string]{Entries: -1}, "Config.Entries: -1 is not between"},
		{cache.Config[int, string]{Entries: 1<<30 + 1}, "is not between 1 and 1073741824"},
		{cache.Config[int, string]{Bytes: -1, Size: size}, "Config.Bytes: -1 is negative"},
		{cache.Config[int, string]{Entries: 1, TTL: time.Microsecond}, "Config.TTL: 1µs is not between 1ms and 24h0m0s"},
		{cache.Config[int, string]{Entries: 1, TTL: 25 * time.Hour}, "Config.TTL: 25h0m0s is not between"},
		{cache.Config[int, string]{Entries: 1, TTL: time.Second, NegativeTTL: 2 * time.Second}, "Config.NegativeTTL: 2s is not between 0s and 1s"},
		{cache.Config[int, string]{Entries: 1, NegativeTTL: -2}, "-1 keeps no keys"},
		{cache.Config[int, string]{Entries: 1, StaleWhileRevalidate: -1}, "Config.StaleWhileRevalidate: -1ns is not between"},
		{cache.Config[int, string]{Entries: 1, StaleIfDegraded: 25 * time.Hour}, "Config.StaleIfDegraded: 25h0m0s is not between"},
		{cache.Config[int, string]{Entries: 1}, ""},
		{cache.Config[int, string]{Bytes: 1000, Size: size, TTL: time.Second, NegativeTTL: -1, StaleWhileRevalidate: time.Second, StaleIfDegraded: time.Hour}, ""},
	} {
		err := c.cfg.Validate()
		if near, made := cache.New(c.cfg); (made == nil) != (err == nil) || (near == nil) != (err != nil) {
			t.Errorf("%+v: Validate says %v, New %v", c.cfg, err, made)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

func newNear(t *testing.T, cfg cache.Config[int, string]) *cache.Near[int, string] {
	t.Helper()
	near, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return near
}

// put keeps a value as somebody who has just asked for it.
func put(near *cache.Near[int, string], key int, value string) {
	near.Put("", key, near.Lease(key), value, value != "")
}

// told is what is told of a key: its value, "absent", or nothing.
func told(near *cache.Near[int, string], key int) string {
	kept, ok := near.Get("", key, fulcrum.Demand{})
	switch {
	case !ok:
		return ""
	case kept.Missing:
		return "absent"
	}
	return kept.Value
}

// A write makes its key old twice: when it begins, and when it is over.
func TestWriting(t *testing.T) {
	near := newNear(t, cache.Config[int, string]{Entries: 1_000_000}) // so that 1 and 2 share no stripe
	put(near, 1, "a")
	put(near, 2, "")
	if a, b := told(near, 1), told(near, 2); a != "a" || b != "absent" {
		t.Fatalf("kept %q and %q", a, b)
	}
	early := near.Lease(1)
	w, other := near.Begin(1, 2), near.Begin(1)
	if near.Put("", 1, early, "late", true); told(near, 1) != "" || told(near, 2) != "" || !near.Lease(1).None() {
		t.Error("something is told or kept while it is written")
	}
	w.End(true, 3)
	if !near.Lease(1).None() || near.Lease(2).None() {
		t.Error("one of two writes is over: its key alone may be kept")
	}
	other.End(true)
	if near.Put("", 1, early, "late", true); told(near, 1) != "" {
		t.Errorf("a late answer is told: %q", told(near, 1))
	}
	put(near, 1, "b")
	if told(near, 1) != "b" {
		t.Error("nothing is kept after the writes")
	}
}

// A key that became known only when it was written is forgotten, too.
func TestWritingAlso(t *testing.T) {
	near := newNear(t, cache.Config[int, string]{Entries: 100})
	w := near.Begin()
	put(near, 7, "")
	lease := near.Lease(7)
	w.End(true, 7)
	if near.Put("", 7, lease, "", false); told(near, 7) != "" {
		t.Error("the new row is said to be absent")
	}
}

// Everything can be written, or forgotten, at once.
func TestAll(t *testing.T) {
	near := newNear(t, cache.Config[int, string]{Entries: 100})
	put(near, 1, "a")
	early := near.Lease(1)
	w := near.BeginAll()
	if told(near, 1) != "" || !near.Lease(1).None() || !near.Lease(2).None() {
		t.Error("something is told or kept while everything is written")
	}
	w.End(true)
	if near.Put("", 1, early, "a", true); told(near, 1) != "" {
		t.Error("a late answer is told")
	}
	put(near, 1, "b")
	near.Clear()
	if told(near, 1) != "" {
		t.Error("something is told after Clear")
	}
	put(near, 1, "c")
	near.Forget(1)
	if told(near, 1) != "" {
		t.Error("something is told after Forget")
	}
}

// A commit without items stands for all there could be.
func TestInvalidatingAll(t *testing.T) {
	near := newNear(t, cache.Config[int, string]{Entries: 100})
	put(near, 1, "a")
	invalidate := cache.Invalidating[int, string](near, func(key int) int { return key })
	invalidate(fulcrum.NewCommit[int, string]([]int{2}, nil))(true)
	if told(near, 1) != "a" {
		t.Skip("1 and 2 share a stripe")
	}
	invalidate(fulcrum.NewCommit[int, string](nil, nil))(true)
	if told(near, 1) != "" {
		t.Error("something is told")
	}
}

func TestBounds(t *testing.T) {
	byEntries := newNear(t, cache.Config[int, string]{Entries: 100})
	byBytes := newNear(t, cache.Config[int, string]{Bytes: 100 * (1000 + cache.EntryBytes), Size: func(_ int, v string) int { return len(v) }})
	for key := range 10_000 {
		put(byEntries, key, "a")
		put(byBytes, key, strings.Repeat("b", 1000))
	}
	full(t, "entries", byEntries, 0)
	full(t, "bytes", byBytes, 120_000)
}

// full waits until a Near has come down to 100 entries, more or less: what is too much goes
// in the background.
func full(t *testing.T, what string, near *cache.Near[int, string], bytes uint64) {
	t.Helper()
	var s cache.Stats
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s = near.Stats(); s.Entries <= 100 && s.Bytes <= bytes && s.Entries >= 50 && s.Evictions == uint64(10_000-s.Entries) {
			return
		}
	}
	t.Errorf("by %s: %+v", what, s)
}

// Stats count each request once, by what became of it.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near := newNear(t, cache.Config[int, string]{Entries: 100, TTL: time.Second, NegativeTTL: time.Second, StaleWhileRevalidate: time.Second})
		r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, string]{Cache: near, Fetch: func(_ context.Context, b *fulcrum.Batch[int, string]) error {
			if b.Keys()[0] > 0 {
				b.SetAt(0, "there")
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(keys ...int) {
			for _, k := range keys {
				_, _ = r.Get(context.Background(), k)
			}
		}
		ask(1, 1, 1, 0, 0)
		time.Sleep(1500 * time.Millisecond)
		ask(1)
		synctest.Wait()
		ask(1)
		near.Begin(1).End(true)
		ask(1)
		got := near.Stats()
		want := cache.Stats{Hits: 5, Negative: 1, Stale: 1, Misses: 3, Invalidations: 1, Entries: 2}
		if got != want || got.HitRatio() != 5.0/8 {
			t.Errorf("%+v, hit ratio %g, want %+v", got, got.HitRatio(), want)
		}
		if (cache.Stats{}).HitRatio() != 0 {
			t.Error("the hit ratio of nothing")
		}
	})
}

func Example() {
	type user struct{ name string }
	type rename struct {
		id   int64
		name string
	}
	table := map[int64]user{1: {"Ada"}}
	near, err := cache.New(cache.Config[int64, user]{Entries: 20_000})
	if err != nil {
		panic(err)
	}
	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, user]{
		Cache: near,
		Fetch: func(_ context.Context, b *fulcrum.Batch[int64, user]) error {
			fmt.Println("a query for", b.Keys())
			for _, id := range b.Keys() {
				b.Set(id, table[id])
			}
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	writer, err := fulcrum.NewWriter(fulcrum.WriterConfig[rename, struct{}]{
		Invalidate: cache.Invalidating[rename, struct{}](near, func(r rename) int64 { return r.id }),
		Apply: func(_ context.Context, c *fulcrum.Commit[rename, struct{}]) error {
			for _, r := range c.Items() {
				table[r.id] = user{r.name}
			}
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for _, name := range []string{"Grace", "Barbara"} {
		for range 2 {
			u, _ := reader.Get(ctx, 1)
			fmt.Println(u.name)
		}
		_, _ = writer.Write(ctx, rename{1, name})
	}
	// Output:
	// a query for [1]
	// Ada
	// Ada
	// a query for [1]
	// Grace
	// Grace
}
