package cache_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
)

// hits is a Reader all of whose keys are kept.
func hits[K comparable](b *testing.B, ctx context.Context, keys []K) *fulcrum.Reader[K, []byte] {
	near, err := cache.New(cache.Config[K, []byte]{Entries: 2 * len(keys), TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[K, []byte]{
		Cache: near,
		Fetch: func(_ context.Context, batch *fulcrum.Batch[K, []byte]) error {
			for i := range batch.Keys() {
				batch.SetAt(i, []byte("value"))
			}
			return nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range keys {
		if _, err := r.Get(ctx, k); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		if misses := near.Stats().Misses; misses != uint64(len(keys)) {
			b.Errorf("%d misses while hits were measured", misses-uint64(len(keys)))
		}
	})
	b.ReportAllocs()
	return r
}

func ints(n int) []int64 {
	keys := make([]int64, n)
	for i := range keys {
		keys[i] = int64(i)
	}
	return keys
}

func texts(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "user/" + strconv.Itoa(i)
	}
	return keys
}

// A hit through Reader.Get, one caller, its keys spread over 10,000. The gate is 250 ns
// and no allocation.
func BenchmarkHit(b *testing.B) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	b.Run("int64", func(b *testing.B) { hit(b, ctx, ints(10_000)) })
	b.Run("string", func(b *testing.B) { hit(b, ctx, texts(10_000)) })
	b.Run("scope", func(b *testing.B) { hit(b, fulcrum.WithScope(ctx, "acme"), texts(10_000)) })
}

func hit[K comparable](b *testing.B, ctx context.Context, keys []K) {
	r := hits(b, ctx, keys)
	i := 0
	for b.Loop() {
		if i++; i == len(keys) {
			i = 0
		}
		if _, err := r.Get(ctx, keys[i]); err != nil {
			b.Fatal(err)
		}
	}
}

// One hot key, asked for from all processors at once.
func BenchmarkHitHot(b *testing.B) {
	r := hits(b, context.Background(), texts(1))
	b.RunParallel(func(p *testing.PB) {
		ctx := context.Background()
		for p.Next() {
			if _, err := r.Get(ctx, "user/0"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// What a key costs that is not kept, beside its query, which costs nothing here.
func BenchmarkMiss(b *testing.B) {
	for _, kept := range []bool{false, true} {
		b.Run("cache="+strconv.FormatBool(kept), func(b *testing.B) {
			cfg := fulcrum.ReaderConfig[int64, int64]{
				Fetch: func(context.Context, *fulcrum.Batch[int64, int64]) error { return nil },
				One:   func(_ context.Context, k int64) (int64, error) { return k, nil },
			}
			if kept {
				near, err := cache.New(cache.Config[int64, int64]{Entries: 10_000})
				if err != nil {
					b.Fatal(err)
				}
				cfg.Cache = near
			}
			r, err := fulcrum.NewReader(cfg)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var next atomic.Int64
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					_, _ = r.Get(context.Background(), next.Add(1))
				}
			})
		})
	}
}
