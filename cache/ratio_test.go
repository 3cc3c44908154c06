package cache_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/usage"
	"github.com/fulcrum-data/fulcrum/internal/usage/logs"
)

// What the Near answers on recorded traces beside an LRU cache of the same size, which is a
// tenth of the keys. The figures of LRU were computed by other programs, and must be reached.
func TestHitRatio(t *testing.T) {
	dir := os.Getenv("FULCRUM_DATA")
	if dir == "" {
		t.Skip("FULCRUM_DATA names no folder with recorded traffic")
	}
	for _, c := range []struct {
		file    string
		entries int
		lru     float64
	}{
		{"web12.trace.xz", 1375, .6848},
		{"arc_oltp.gz", 18688, .6652},
	} {
		t.Run(c.file, func(t *testing.T) {
			s := replayed(t, filepath.Join(dir, c.file), c.entries)
			t.Logf("%d requests, %d entries: hit ratio %.4f, LRU %.4f", s.Hits+s.Misses, c.entries, s.HitRatio(), c.lru)
			if s.HitRatio() < c.lru {
				t.Errorf("hit ratio %.4f, want at least %.4f", s.HitRatio(), c.lru)
			}
		})
	}
}

// replayed asks a Reader for the keys of a trace, one after the other.
func replayed(t *testing.T, name string, entries int) cache.Stats {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	trace, err := logs.Open(file, logs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	near, err := cache.New(cache.Config[string, uint32]{Entries: entries, TTL: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[string, uint32]{
		Cache: near,
		Fetch: func(_ context.Context, b *fulcrum.Batch[string, uint32]) error {
			for i, k := range b.Keys() {
				b.SetAt(i, binary.BigEndian.Uint32([]byte(k+"    ")))
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = trace.Each(t.Context(), func(rec *usage.Record) {
		if _, err := r.Get(context.Background(), string(rec.Path)); err != nil {
			t.Fatal(err)
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return near.Stats()
}
