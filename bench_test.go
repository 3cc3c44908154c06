package fulcrum_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fulcrum-data/fulcrum"
)

// BenchmarkGet measures the Reader alone: its fetch answers at once. ns/op is per
// Get, with statistics on.
func BenchmarkGet(b *testing.B) {
	for _, callers := range []int{1, 2, 8, 64, 256, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkGet(b, callers, nil) })
	}
}

// BenchmarkGetBackend is the same with a Backend: its slots, tuner, circuit and modes.
// K is as without one.
func BenchmarkGetBackend(b *testing.B) {
	for _, callers := range []int{1, 2, 8, 64, 256, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			backend, err := fulcrum.NewBackend(fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed})
			if err != nil {
				b.Fatal(err)
			}
			benchmarkGet(b, callers, backend)
		})
	}
}

func benchmarkGet(b *testing.B, callers int, backend *fulcrum.Backend) {
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{
		Backend: backend,
		Fetch: func(_ context.Context, batch *fulcrum.Batch[int, int]) error {
			for i, k := range batch.Keys() {
				batch.SetAt(i, k)
			}
			return nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	runCallers(b, callers, func(n int) {
		if v, err := r.Get(context.Background(), n); err != nil || v != n {
			b.Errorf("Get(%d) = %d, %v", n, v, err)
		}
	})
	b.ReportMetric(r.Stats().MeanBatch(), "keys/batch")
}

// runCallers has callers share b.N calls of f.
func runCallers(b *testing.B, callers int, f func(n int)) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				f(int(n))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}
