package fulcrumtest

import (
	"context"
	"fmt"
	"runtime"

	"github.com/fulcrum-data/fulcrum"
)

// Together calls fetch once, with a batch of all the keys (repeated ones count
// once), and returns its answers as GetMany does. A Reader makes batches of those
// who come together, so that a test cannot say what is in one; here it can. fetch
// gets ctx itself. At most 100,000 keys.
func Together[K comparable, V any](ctx context.Context, keys []K, fetch func(context.Context, *fulcrum.Batch[K, V]) error) (map[K]V, error) {
	distinct := map[K]bool{}
	for _, k := range keys {
		distinct[k] = true
	}
	if len(distinct) == 0 {
		return map[K]V{}, nil
	}
	var r *fulcrum.Reader[K, V]
	first := true
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[K, V]{
		Name: "together",
		Fetch: func(_ context.Context, b *fulcrum.Batch[K, V]) error {
			if !first {
				return fetch(ctx, b)
			}
			first = false
			for r.Stats().Queued < len(distinct) { // holds the only slot until all are there
				runtime.Gosched()
			}
			return nil
		},
		Policy: fulcrum.Policy{InFlight: 1, Reserved: -1, MaxBatch: mostKeys, MaxQueued: mostKeys},
	})
	if err != nil {
		return nil, fmt.Errorf("fulcrumtest: %w", err)
	}
	held := make(chan struct{})
	go func() {
		defer close(held)
		_, _ = r.Get(context.Background(), keys[0]) // not found: it only opens the way
	}()
	for r.Stats().InFlight == 0 {
		runtime.Gosched()
	}
	rows, err := r.GetMany(context.Background(), keys)
	<-held
	if err != nil {
		err = fmt.Errorf("fulcrumtest: %w", err)
	}
	return rows, err
}
