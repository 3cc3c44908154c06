package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
	"github.com/fulcrum-data/fulcrum/benchmarks/rivals"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// offered are the loads of the open loop, in rows per second.
var offered = []float64{1_000, 5_000, 20_000, 50_000}

const openHeading = `
## Open loop

Requests are due at times fixed in advance (Poisson), whatever becomes of the earlier ones; response times count from when a request was due.
A contender that cannot keep up has no figures but the reason. "p99 is" is the median, with quartiles, of the contender's p99 over Fulcrum's in
the same round, where both are valid.

| round trip | offered rows/s | contender | p50 ms | p99 ms | p99 is |
|---|---|---|---|---|---|
`

// lane is a contender in the open loop: what all its rounds were together, and its
// p99 in each, 0 where that is not known.
type lane struct {
	named
	all *load.Step
	p99 []time.Duration
}

// openLoop offers each load to all contenders in turn.
func openLoop(out io.Writer, delay time.Duration, gets []named, rounds int, each time.Duration) error {
	for _, rate := range offered {
		lanes := make([]*lane, len(gets))
		for i, g := range gets {
			lanes[i] = &lane{named: g}
		}
		for round := range rounds {
			for _, i := range rand.Perm(len(lanes)) {
				if err := lanes[i].run(rate, each, uint64(round)); err != nil {
					return err
				}
			}
		}
		for _, l := range lanes {
			fmt.Fprintf(out, "| %s | %.0f | %s | %s |\n", delay, rate, l.name, l.figures(lanes[0]))
		}
	}
	return nil
}

// run is one round. All contenders get the same due times in the same round.
func (l *lane) run(rate float64, each time.Duration, seed uint64) error {
	step, err := load.Run(context.Background(), load.Config{
		Target: target(l.get), Rate: rate, Duration: each, Warmup: each / 4, Drain: 300 * time.Millisecond, Seed: seed,
	})
	if err != nil {
		return err
	}
	p99 := time.Duration(0)
	if step.Verdict() == "" {
		p99, _ = step.Quantile(.99)
	}
	l.p99 = append(l.p99, p99)
	if l.all == nil {
		l.all = step
	} else {
		l.all.Add(step)
	}
	return nil
}

func target(get rivals.Get) load.Target {
	return load.CallerFunc(func(ctx context.Context, _ *load.Request) error {
		id := pgusers.RandomID()
		p, err := get(ctx, id)
		return pgusers.MustBe(p, id, err)
	})
}

// figures are the last three columns.
func (l *lane) figures(first *lane) string {
	if why := l.all.Verdict(); why != "" {
		return "– | – | invalid: " + why
	}
	p50, _ := l.all.Quantile(.5)
	p99, _ := l.all.Quantile(.99)
	var ratios []float64
	for i, p := range l.p99 {
		if p > 0 && first.p99[i] > 0 {
			ratios = append(ratios, float64(p)/float64(first.p99[i]))
		}
	}
	if len(ratios) == 0 {
		return fmt.Sprintf("%.2f | %.2f | –", millis(p50), millis(p99))
	}
	slices.Sort(ratios)
	quarter := len(ratios) / 4
	return fmt.Sprintf("%.2f | %.2f | %.2f (%.2f–%.2f)", millis(p50), millis(p99), ratios[len(ratios)/2], ratios[quarter], ratios[len(ratios)-1-quarter])
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
