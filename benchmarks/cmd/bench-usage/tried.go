package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/target"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/internal/usage"
	"github.com/fulcrum-data/fulcrum/internal/usage/logs"
)

const triedHeading = `
## What a cache gains, predicted and tried

%s, %d requests for %d keys, has no times: %d callers replay it once, in its order, on PostgreSQL, whose rows are its keys, through what
` + "`fulcrum bench --cache N`" + ` loads. Predicted is what ` + "`fulcrum analyze`" + ` says of a cache of that size (LRU); tried is the share of requests that asked the
database for no row, less the same share without a cache, of which callers who come together are the cause. The gate: within 15 %%.

| entries | predicted | tried | off | queries without | queries with |
|---|---|---|---|---|---|
`

// callers replay the trace.
const callers = 16

// tried replays a recorded trace of keys through caches of several sizes.
func (b *bench) tried() error {
	dir := os.Getenv("FULCRUM_DATA")
	if dir == "" {
		fmt.Fprintf(b.out, "\nThe gain of a cache was not tried: FULCRUM_DATA names no folder with web12.trace.xz.\n")
		return nil
	}
	trace := filepath.Join(dir, "web12.trace.xz")
	r := replay{bench: b, distinct: map[string]bool{}}
	if err := r.readKeys(trace); err != nil {
		return err
	}
	server, err := r.fill()
	if err != nil {
		return err
	}
	defer server.Close()
	if err := r.predict(trace); err != nil {
		return err
	}
	fmt.Fprintf(b.out, triedHeading, filepath.Base(trace), len(r.keys), len(r.distinct), callers)
	without, err := r.run(server.DSN(), 0)
	if err != nil {
		return err
	}
	for _, p := range r.predicted {
		with, err := r.run(server.DSN(), p.Entries)
		if err != nil {
			return err
		}
		predicted, tried := 1-p.Ratio, 1-with.rows/without.rows
		fmt.Fprintf(b.out, "| %d%s | %.1f %% | %.1f %% | %+.1f %% | %.0f | %.0f |\n", p.Entries, map[bool]string{true: " (advised)"}[p.Entries == r.advised],
			100*predicted, 100*tried, 100*(predicted/tried-1), without.queries, with.queries)
		if math.Abs(predicted/tried-1) > .15 {
			return fmt.Errorf("the predicted gain of %d entries is more than 15 %% off", p.Entries)
		}
	}
	return nil
}

// replay is a trace and what is said of it.
type replay struct {
	*bench
	keys      []string
	distinct  map[string]bool
	predicted []sized
	advised   uint64
}

type sized struct {
	Entries uint64  `json:"entries"`
	Ratio   float64 `json:"miss_ratio"`
}

// readKeys reads the trace.
func (r *replay) readKeys(trace string) error {
	in, err := os.Open(trace)
	if err != nil {
		return err
	}
	defer in.Close()
	source, err := logs.Open(in, logs.Options{})
	if err != nil {
		return err
	}
	return source.Each(context.Background(), func(rec *usage.Record) {
		key := string(rec.Path)
		r.keys = append(r.keys, key)
		r.distinct[key] = true
	}, nil)
}

// fill starts a server with a row for each key.
func (r *replay) fill() (*pgtest.Server, error) {
	ctx := context.Background()
	server, err := pgtest.Launch(ctx, pgtest.Config{MaxConnections: 100})
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(r.distinct))
	for k := range r.distinct {
		keys = append(keys, "("+k+")")
	}
	for _, sql := range []string{
		"create table pages (id bigint primary key, body text not null default repeat('x', 300))",
		"insert into pages (id) values " + strings.Join(keys, ","), "analyze pages",
	} {
		if err := server.Exec(ctx, sql); err != nil {
			_ = server.Close()
			return nil, err
		}
	}
	return server, nil
}

// predict asks fulcrum analyze: of the size it advises, and of a tenth of all keys.
func (r *replay) predict(trace string) error {
	var report struct {
		Curve  []sized `json:"miss_ratio_curve"`
		Advice []struct{ Setting, Value string }
	}
	out, err := exec.Command(r.fulcrum, "analyze", "--json", trace).Output()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return err
	}
	for _, a := range report.Advice {
		if a.Setting == "cache.entries" {
			if _, err := fmt.Sscan(a.Value, &r.advised); err != nil {
				return err
			}
		}
	}
	tenth := uint64(len(r.distinct) / 10)
	var nearest sized
	for _, p := range report.Curve {
		if p.Entries == r.advised {
			r.predicted = append(r.predicted, p)
		}
		if distance(p.Entries, tenth) < distance(nearest.Entries, tenth) {
			nearest = p
		}
	}
	if len(r.predicted) == 0 {
		return fmt.Errorf("fulcrum analyze advises no cache for %s", trace)
	}
	r.predicted = append(r.predicted, nearest)
	return nil
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// asked is what the database was asked for.
type asked struct{ queries, rows float64 }

// run replays the trace once, through the strategy fulcrum of the bench. Queries are
// counted and nothing is timed, so that it does not matter what else the machine does.
func (r *replay) run(dsn string, entries uint64) (asked, error) {
	ctx := context.Background()
	s, err := target.OpenStore(ctx, target.StoreConfig{DSN: dsn, Cache: int(entries)})
	if err != nil {
		return asked{}, err
	}
	defer s.Close()
	way, _, err := s.Strategy("fulcrum")
	if err != nil {
		return asked{}, err
	}
	var next atomic.Int64
	var all errgroup.Group
	for range callers {
		caller := way.Caller()
		all.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(r.keys) {
					return nil
				}
				if err := caller.Call(ctx, &load.Request{Seq: uint64(i), Keys: r.keys[i : i+1]}); err != nil {
					return err
				}
			}
		})
	}
	err = all.Wait()
	used := s.Usage()
	return asked{queries: float64(used.Queries), rows: float64(used.Rows)}, err
}
