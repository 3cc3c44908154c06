package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// keptRows are the sizes of the caches: a tenth of the table, and three.
var keptRows = []int{pgusers.Rows / 10, 3 * pgusers.Rows / 10}

// cacheCells compares a Reader with a near cache and one without.
func cacheCells() ([]duel.Cell, func(), error) {
	b, err := pgusers.Start()
	if err != nil {
		return nil, nil, err
	}
	cells, err := cacheDuels(b)
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return cells, b.Close, nil
}

func cacheDuels(b *pgusers.Server) ([]duel.Cell, error) {
	without, err := b.Reader(b.Addr(), 10, fulcrum.Policy{})
	if err != nil {
		return nil, err
	}
	ids, err := zipfIDs()
	if err != nil {
		return nil, err
	}
	var cells []duel.Cell
	for _, entries := range keptRows {
		near, err := cache.New(cache.Config[int64, pgusers.Profile]{Entries: entries})
		if err != nil {
			return nil, err
		}
		with, err := b.CachedReader(b.Addr(), 10, fulcrum.Policy{}, near)
		if err != nil {
			return nil, err
		}
		for _, callers := range []int{64, 256, 1024} {
			cell := duel.Cell{
				Name: fmt.Sprintf("%d callers, %d entries", callers, entries),
				Ours: warmed(drawn(with, ids, callers)), Theirs: drawn(without, ids, callers),
			}
			if entries == keptRows[1] && callers <= 256 { // what is beyond is shown: see docs/results/gates.md
				cell.Gate = 3
			}
			cells = append(cells, cell)
		}
	}
	return cells, nil
}

// warmed fills the cache before the first run.
func warmed(run func(time.Duration) (float64, error)) func(time.Duration) (float64, error) {
	warm := false
	return func(d time.Duration) (float64, error) {
		if !warm {
			warm = true
			if _, err := run(4 * time.Second); err != nil {
				return 0, err
			}
		}
		return run(d)
	}
}

// zipfIDs are drawn beforehand: drawing one costs as much as a hit. Ranks are spread over
// the table.
func zipfIDs() ([]int64, error) {
	keys, err := load.ParseKeys(fmt.Sprintf("zipf:0.99:%d", pgusers.Rows))
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	place := random.Perm(pgusers.Rows)
	ids := make([]int64, 1<<23)
	for i := range ids {
		rank, err := strconv.Atoi(keys.Draw(random, uint64(i)))
		if err != nil {
			return nil, err
		}
		ids[i] = int64(place[rank-1]) + 1
	}
	return ids, nil
}

// drawn is a closed loop of single reads, each caller at a place of its own in the list.
func drawn(r *fulcrum.Reader[int64, pgusers.Profile], ids []int64, callers int) func(time.Duration) (float64, error) {
	ctx := context.Background()
	return func(d time.Duration) (float64, error) {
		from := rand.IntN(len(ids))
		return duel.Load{Callers: callers, Op: func(caller, i int) error {
			id := ids[(from+caller*len(ids)/callers+i)%len(ids)]
			p, err := r.Get(ctx, id)
			return pgusers.MustBe(p, id, err)
		}}.Run(d)
	}
}
