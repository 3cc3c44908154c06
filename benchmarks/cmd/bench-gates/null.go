package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vikstrous/dataloadgen"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
)

// nullCells compares the batchers alone.
func nullCells() ([]duel.Cell, func(), error) {
	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{
		Fetch: func(_ context.Context, b *fulcrum.Batch[int, int]) error {
			for i, k := range b.Keys() {
				b.SetAt(i, k)
			}
			return nil
		},
	})
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	ours := check(func(k int) (int, error) { return reader.Get(ctx, k) })
	var cells []duel.Cell
	for _, c := range []struct {
		callers int
		gate    float64
		rival   string
		options []dataloadgen.Option
	}{
		{2, 500, "as it comes", nil},
		{64, 1.3, "as it comes", nil},
		{1024, 1.3, "as it comes", nil},
		// Without its cache it does not deduplicate, which Fulcrum does all the same.
		{64, 0, "no dedup", []dataloadgen.Option{dataloadgen.WithoutCache()}},
		{1024, 0, "no dedup", []dataloadgen.Option{dataloadgen.WithoutCache()}},
	} {
		cells = append(cells, duel.Cell{
			Name: fmt.Sprintf("%d callers, dataloadgen %s", c.callers, c.rival), Gate: c.gate,
			Ours: duel.Load{Callers: c.callers, Op: ours}.Run,
			Theirs: func(d time.Duration) (float64, error) {
				return duel.Load{Callers: c.callers, Op: dataloadgenOp(c.options)}.Run(d)
			},
		})
	}
	return cells, func() { _ = reader.Shutdown(ctx) }, nil
}

// dataloadgenOp is a fresh loader for each run: as it comes, its cache keeps every
// key for good.
func dataloadgenOp(options []dataloadgen.Option) func(caller, i int) error {
	options = append([]dataloadgen.Option{dataloadgen.WithWait(2 * time.Millisecond), dataloadgen.WithBatchCapacity(50)}, options...)
	loader := dataloadgen.NewLoader(func(_ context.Context, keys []int) ([]int, []error) {
		values := make([]int, len(keys))
		copy(values, keys)
		return values, nil
	}, options...)
	ctx := context.Background()
	return check(func(k int) (int, error) { return loader.Load(ctx, k) })
}

// check makes an operation that asks for a key of its own and wants its own value.
func check(get func(key int) (int, error)) func(caller, i int) error {
	return func(caller, i int) error {
		key := i<<11 | caller
		v, err := get(key)
		if err == nil && v != key {
			err = fmt.Errorf("asked for %d, got %d", key, v)
		}
		return err
	}
}
