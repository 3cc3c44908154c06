package fulcrum_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
)

// shared makes readers that share a backend whose calls take Base + n·PerKey.
func shared(t *testing.T, cfg fulcrum.BackendConfig, n int) ([]*fulcrum.Reader[int, string], *fulcrum.Backend, *fulcrumtest.Backend[int, string]) {
	t.Helper()
	b, err := fulcrum.NewBackend(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := fulcrumtest.NewBackend(fulcrumtest.BackendConfig[int, string]{
		Base: time.Millisecond, PerKey: 10 * time.Microsecond, Answer: func(k int) (string, error) { return value("", k), nil },
	})
	readers := make([]*fulcrum.Reader[int, string], n)
	for i := range readers {
		readers[i] = newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: db.Fetch, One: db.One, Backend: b})
	}
	return readers, b, db
}

// callers ask a reader until the context ends, and count their answers.
func callers(t *testing.T, ctx context.Context, wg *sync.WaitGroup, r *fulcrum.Reader[int, string], n int, opts ...fulcrum.Option) *atomic.Int64 {
	var answered atomic.Int64
	for i := range n {
		wg.Go(func() {
			for key := i; ctx.Err() == nil; key += n {
				mustGet(t, r, context.Background(), key, opts...)
				answered.Add(1)
			}
		})
	}
	return &answered
}

func TestReadersShareABackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readers, b, db := shared(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 2, Reserved: -1, MaxBatch: 10}, 3)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		var wg sync.WaitGroup
		loud := callers(t, ctx, &wg, readers[0], 60)
		other := callers(t, ctx, &wg, readers[1], 60)
		quiet := callers(t, ctx, &wg, readers[2], 1)
		time.Sleep(500 * time.Millisecond)
		if s := b.Stats(); s.InFlight != 2 || s.Shared != 2 || s.Blocked == 0 || s.MaxBatch != 10 {
			t.Errorf("%+v", s)
		}
		wg.Wait()
		if peak := db.Peak(); peak != 2 {
			t.Errorf("%d batches were in flight at once, want 2", peak)
		}
		if a, b := loud.Load(), other.Load(); a < b*9/10 || b < a*9/10 {
			t.Errorf("two that want alike got %d and %d", a, b)
		}
		// One request at a time needs less than a third of the slots: its wait for one
		// is at most the batch of somebody else.
		if n := quiet.Load(); n < 400 {
			t.Errorf("the quiet one got %d answers in a second of 1 ms queries", n)
		}
		if s := b.Stats(); s.Shared != 0 || s.Urgent != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

// Urgent requests have slots of their own, whoever holds the others.
func TestUrgentAtABusyBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readers, _, db := shared(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 1, Reserved: 1, MaxBatch: 100}, 2)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		var wg sync.WaitGroup
		callers(t, ctx, &wg, readers[0], 120)
		time.Sleep(10 * time.Millisecond)
		for key := range 20 {
			start := time.Now()
			mustGet(t, readers[1], t.Context(), key, fulcrum.Urgent)
			if took := time.Since(start); took != 1010*time.Microsecond {
				t.Errorf("urgent took %s beside a full backend", took)
			}
		}
		urgents := callers(t, ctx, &wg, readers[1], 4, fulcrum.Urgent)
		wg.Wait()
		if peak := db.Peak(); peak > 2 {
			t.Errorf("%d batches at once, want 2", peak)
		}
		if urgents.Load() < 900 {
			t.Errorf("%d urgent answers in a second on one slot of 1 ms", urgents.Load())
		}
	})
}

// The tuner finds that a backend that is far away bears more than one batch.
func TestTheTunerFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []fulcrum.Decision
		readers, b, _ := shared(t, fulcrum.BackendConfig{MaxInFlight: 16, OnDecision: func(d fulcrum.Decision) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, d)
		}}, 1)
		if s := b.Stats(); s.InFlight != 1 {
			t.Errorf("it begins with K %d", s.InFlight)
		}
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		var wg sync.WaitGroup
		callers(t, ctx, &wg, readers[0], 60)
		wg.Wait()
		s := b.Stats()
		if s.InFlight < 2 || !strings.Contains(s.Decision, ":") || len(s.Decisions) == 0 {
			t.Errorf("%+v", s)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(told) == 0 || told[0].From != 1 || told[0].InFlight < 2 || told[0].Reason == "" || told[0].Backend != "backend" {
			t.Errorf("told %+v", told)
		}
	})
}

func TestBackendConfigIsChecked(t *testing.T) {
	for want, cfg := range map[string]fulcrum.BackendConfig{
		"Reserved":       {Reserved: -2},
		"Tuner":          {Tuner: 9},
		"InFlight":       {Tuner: fulcrum.TunerFixed, InFlight: -1},
		"MinInFlight":    {MinInFlight: 5, MaxInFlight: 4},
		"MaxBatch":       {MaxBatch: 1_000_000},
		"P99":            {P99: -1},
		`backend "shop"`: {Name: "shop", P99: -1},
	} {
		if _, err := fulcrum.NewBackend(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want it to name %s", cfg, err, want)
		}
	}
}
