// Bench-rivals compares Fulcrum's Reader with what one would use instead, over the
// same PostgreSQL and the same network delays, and prints one table.
//
//	go run ./cmd/bench-rivals [-rounds 15] [-each 150ms] [-open 200ms] [-o FILE]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
	"github.com/fulcrum-data/fulcrum/benchmarks/rivals"
)

func main() {
	rounds := flag.Int("rounds", 15, "rounds, in each of which every contender runs once")
	each := flag.Duration("each", 150*time.Millisecond, "length of each run")
	open := flag.Duration("open", 200*time.Millisecond, "length of each run of the open loop")
	file := flag.String("o", "", "write the table to this file as well")
	flag.Parse()
	if err := run(*rounds, *each, *open, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench-rivals:", err)
		os.Exit(1)
	}
}

func run(rounds int, each, open time.Duration, file string) error {
	out := io.Writer(os.Stdout)
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		out = io.MultiWriter(out, f)
	}
	b, err := pgusers.Start()
	if err != nil {
		return err
	}
	defer b.Close()
	var places []*place
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
		p, err := newPlace(b, delay)
		if err != nil {
			return err
		}
		places = append(places, p)
	}
	fmt.Fprintf(out, heading, duel.Machine(), rounds, each, open)
	for _, p := range places {
		if err := p.closed(out, rounds, each); err != nil {
			return err
		}
	}
	fmt.Fprint(out, openHeading)
	for _, p := range places {
		if err := openLoop(out, p.delay, p.gets, rounds, open); err != nil {
			return err
		}
	}
	return nil
}

const heading = `# Fulcrum beside its rivals

Machine: %s; client, database and network delay share its cores.
PostgreSQL with 1,000,000 rows of about 350 bytes, uniform keys, a pool of 10 connections for each. %d rounds of %s for each contender in
random order, %s in the open loop. Fulcrum runs with its defaults (4 batches in flight, at most 200 keys). Batchers with a timer have a window
of 2 ms and 50 keys.

Printed by ` + "`make bench-rivals`" + `.

## Closed loop

Callers ask for the next row as soon as they have the last. Rates are medians, and "Fulcrum is" is the median, with quartiles, of Fulcrum's rate
over the contender's in the same round. "by hand" is no rival but the ceiling: queries of many keys whose callers are already together.

| round trip | callers | contender | rows/s | Fulcrum is |
|---|---|---|---|---|
`

// place is a distance to the database, and who competes there.
type place struct {
	delay time.Duration
	gets  []named
	hand  duel.Contender
}

func newPlace(b *pgusers.Server, delay time.Duration) (*place, error) {
	addr, err := b.Away(delay)
	if err != nil {
		return nil, err
	}
	pool, err := b.Pool(addr, 10)
	if err != nil {
		return nil, err
	}
	reader, err := b.Reader(addr, 10, fulcrum.Policy{})
	if err != nil {
		return nil, err
	}
	name, hand, err := pgusers.BestByHand(pool)
	if err != nil {
		return nil, err
	}
	return &place{delay: delay, gets: gets(pool, reader), hand: duel.Contender{Name: "by hand: " + name, Run: hand}}, nil
}

func (p *place) closed(out io.Writer, rounds int, each time.Duration) error {
	for _, callers := range []int{64, 256, 1024} {
		all := make([]duel.Contender, 0, len(p.gets)+1)
		for _, g := range p.gets {
			all = append(all, duel.Contender{Name: g.name, Run: closedLoop(g.get, callers)})
		}
		all = append(all, p.hand)
		standings, err := duel.Tournament(all, rounds, each)
		if err != nil {
			return err
		}
		for _, s := range standings {
			fmt.Fprintf(out, "| %s | %d | %s | %.0f | %.2f (%.2f–%.2f) |\n", p.delay, callers, s.Name, s.Rate, s.Ratio, s.Low, s.High)
		}
	}
	return nil
}

// named is a way to read one row.
type named struct {
	name string
	get  rivals.Get
}

func gets(pool *pgxpool.Pool, reader *fulcrum.Reader[int64, pgusers.Profile]) []named {
	return []named{
		{"Fulcrum", func(ctx context.Context, id int64) (pgusers.Profile, error) { return reader.Get(ctx, id) }},
		{"pooled query", rivals.Direct(pool)},
		{"singleflight", rivals.Singleflight(pool)},
		{"dataloadgen v0.0.10", rivals.Dataloadgen(pool)},
		{"graph-gophers v7.1.0", rivals.GraphGophers(pool)},
		{"fixed window", rivals.Window(pool)},
	}
}

func closedLoop(get rivals.Get, callers int) func(time.Duration) (float64, error) {
	ctx := context.Background()
	return duel.Load{Callers: callers, Op: func(int, int) error {
		id := pgusers.RandomID()
		p, err := get(ctx, id)
		return pgusers.MustBe(p, id, err)
	}}.Run
}
