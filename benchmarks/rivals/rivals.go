// Package rivals is what one would use instead of Fulcrum to read single rows from
// PostgreSQL, each set up as its own documentation suggests for this work.
package rivals

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/graph-gophers/dataloader/v7"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/vikstrous/dataloadgen"
	"golang.org/x/sync/singleflight"

	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
)

// Get reads one row.
type Get func(ctx context.Context, id int64) (pgusers.Profile, error)

// The window that batchers with a timer get: what their users set in practice.
const (
	windowWait = 2 * time.Millisecond
	windowSize = 50
)

var errMissing = errors.New("no such row")

// Direct is the plain pooled query.
func Direct(pool *pgxpool.Pool) Get {
	return func(ctx context.Context, id int64) (pgusers.Profile, error) { return pgusers.One(ctx, pool, id) }
}

// Singleflight joins identical keys that are in flight; different keys share nothing.
func Singleflight(pool *pgxpool.Pool) Get {
	var g singleflight.Group
	return func(ctx context.Context, id int64) (pgusers.Profile, error) {
		v, err, _ := g.Do(strconv.FormatInt(id, 10), func() (any, error) { return pgusers.One(ctx, pool, id) })
		if err != nil {
			return pgusers.Profile{}, err
		}
		return v.(pgusers.Profile), nil
	}
}

// Dataloadgen is vikstrous/dataloadgen. Its cache is for one request's life and is
// off, as in any use that outlives a request.
func Dataloadgen(pool *pgxpool.Pool) Get {
	l := dataloadgen.NewLoader(func(ctx context.Context, ids []int64) ([]pgusers.Profile, []error) {
		return inOrder(ctx, pool, ids)
	}, dataloadgen.WithWait(windowWait), dataloadgen.WithBatchCapacity(windowSize), dataloadgen.WithoutCache())
	return l.Load
}

// GraphGophers is graph-gophers/dataloader, its cache off likewise.
func GraphGophers(pool *pgxpool.Pool) Get {
	l := dataloader.NewBatchedLoader(func(ctx context.Context, ids []int64) []*dataloader.Result[pgusers.Profile] {
		values, errs := inOrder(ctx, pool, ids)
		results := make([]*dataloader.Result[pgusers.Profile], len(ids))
		for i := range ids {
			results[i] = &dataloader.Result[pgusers.Profile]{Data: values[i]}
			if errs != nil {
				results[i].Error = errs[i]
			}
		}
		return results
	}, dataloader.WithWait[int64, pgusers.Profile](windowWait), dataloader.WithBatchCapacity[int64, pgusers.Profile](windowSize),
		dataloader.WithCache[int64, pgusers.Profile](&dataloader.NoCache[int64, pgusers.Profile]{}))
	return func(ctx context.Context, id int64) (pgusers.Profile, error) { return l.Load(ctx, id)() }
}

// inOrder reads rows and puts them into the order of their keys.
func inOrder(ctx context.Context, pool *pgxpool.Pool, ids []int64) ([]pgusers.Profile, []error) {
	found, err := pgusers.Many(ctx, pool, ids)
	values := make([]pgusers.Profile, len(ids))
	var errs []error
	for i, id := range ids {
		p, ok := found[id]
		values[i] = p
		if err == nil && ok {
			continue
		}
		if errs == nil {
			errs = make([]error, len(ids))
		}
		if errs[i] = err; err == nil {
			errs[i] = errMissing
		}
	}
	return values, errs
}

// window is the simplest batcher: what gathers within windowWait, at most
// windowSize, goes together.
type window struct {
	pool *pgxpool.Pool
	mu   sync.Mutex
	open *gathering
}

type gathering struct {
	ids   []int64
	done  chan struct{}
	found map[int64]pgusers.Profile
	err   error
}

// Window is a batcher with a fixed window, as one writes it in an afternoon.
func Window(pool *pgxpool.Pool) Get {
	w := &window{pool: pool}
	return w.get
}

func (w *window) get(ctx context.Context, id int64) (pgusers.Profile, error) {
	w.mu.Lock()
	g := w.open
	if g == nil {
		g = &gathering{done: make(chan struct{})}
		w.open = g
		time.AfterFunc(windowWait, func() { w.close(g) })
	}
	g.ids = append(g.ids, id)
	full := len(g.ids) == windowSize
	if full {
		w.open = nil
	}
	w.mu.Unlock()
	if full {
		go w.run(g)
	}
	<-g.done
	p, ok := g.found[id]
	if g.err == nil && !ok {
		return p, errMissing
	}
	return p, g.err
}

// close ends the window of what has not filled up by itself.
func (w *window) close(g *gathering) {
	w.mu.Lock()
	mine := w.open == g
	if mine {
		w.open = nil
	}
	w.mu.Unlock()
	if mine {
		w.run(g)
	}
}

func (w *window) run(g *gathering) {
	g.found, g.err = pgusers.Many(context.Background(), w.pool, g.ids)
	close(g.done)
}
