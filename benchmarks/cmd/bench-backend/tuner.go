package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

var (
	fixedKs = []int{1, 2, 4, 8, 16, 32}
	loads   = []float64{.20, .70, .95}
	delays  = []time.Duration{0, 5 * time.Millisecond}
)

// figures are what a contender's rounds came to: the medians.
type figures struct {
	name        string
	config      fulcrum.BackendConfig
	mean, p99   []time.Duration // of each round
	good        []float64
	k           []int // of the tuner, at the end of each round
	meanM, p99M time.Duration
	goodM       float64
}

// tuner compares the tuner with each fixed K, at three loads and two distances.
func (b *bench) tuner() error {
	fmt.Fprintf(b.out, tunerHeading, b.rounds)
	cells, kept := 0, 0
	for _, delay := range delays {
		p, err := b.away(delay)
		if err != nil {
			return err
		}
		capacity, err := p.capacity()
		if err != nil {
			return err
		}
		for _, load := range loads {
			mean, p99, err := b.cell(p, capacity, load)
			if err != nil {
				return err
			}
			for _, regret := range []float64{mean, p99} {
				cells++
				if regret <= .20 {
					kept++
				}
			}
		}
	}
	fmt.Fprintf(b.out, "\nWithin 20 %% of the best fixed K: %d of %d figures (gate: 80 %%).\n", kept, cells)
	return nil
}

const tunerHeading = `
## The tuner beside every fixed K

Open loop, Poisson. Each contender runs for 3 s after 2 s unrecorded, begun anew, in random order, %d rounds; medians. The best fixed K is the one
with the least √(mean·p99) among those that lose no more than 2.5 %% of the best throughput.

| round trip | load | mean ms, K = 1 2 4 8 16 32 | p99 ms, K = 1 2 4 8 16 32 | best K | tuner: mean ms | p99 ms | its K | over the best: mean | p99 |
|---|---|---|---|---|---|---|---|---|---|
`

// cell is one load at one distance.
func (b *bench) cell(p *place, capacity, load float64) (mean, p99 float64, err error) {
	all := make([]*figures, 0, len(fixedKs)+1)
	for _, k := range fixedKs {
		all = append(all, &figures{name: fmt.Sprint(k), config: fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: k}})
	}
	auto := &figures{name: "tuner"}
	all = append(all, auto)
	for round := range b.rounds {
		for _, i := range rand.Perm(len(all)) {
			if err := all[i].round(p, capacity*load, uint64(round)); err != nil {
				return 0, 0, err
			}
		}
	}
	for _, f := range all {
		f.meanM, f.p99M, f.goodM = middle(f.mean), middle(f.p99), middle(f.good)
	}
	best := bestOf(all[:len(fixedKs)])
	mean, p99 = over(auto.meanM, best.meanM), over(auto.p99M, best.p99M)
	var means, p99s string
	for _, f := range all[:len(fixedKs)] {
		means += millis(f.meanM) + " "
		p99s += millis(f.p99M) + " "
	}
	fmt.Fprintf(b.out, "| %s | %.0f %% of %.0f/s | %s| %s| %s | %s | %s | %d | %+.0f %% | %+.0f %% |\n", p.delay, 100*load, capacity,
		means, p99s, best.name, millis(auto.meanM), millis(auto.p99M), auto.k, 100*mean, 100*p99)
	return mean, p99, nil
}

func (f *figures) round(p *place, rate float64, seed uint64) error {
	r, err := p.reader(f.config, fulcrum.Policy{})
	if err != nil {
		return err
	}
	step, err := r.open(rate, 2*time.Second, 3*time.Second, seed)
	k := r.backend.Stats().InFlight
	if err := errors.Join(err, r.close()); err != nil {
		return err
	}
	f.mean, f.p99 = append(f.mean, step.Response.Mean()), append(f.p99, step.Response.Quantile(.99))
	f.good, f.k = append(f.good, step.Throughput()), append(f.k, k)
	return nil
}

// bestOf is the fixed K that an oracle would choose.
func bestOf(all []*figures) *figures {
	most := 0.0
	for _, f := range all {
		most = max(most, f.goodM)
	}
	var best *figures
	score := math.Inf(1)
	for _, f := range all {
		if s := math.Sqrt(float64(f.meanM) * float64(f.p99M)); f.goodM >= .975*most && s < score {
			best, score = f, s
		}
	}
	return best
}

func over(a, b time.Duration) float64 { return float64(a)/float64(b) - 1 }

func middle[T time.Duration | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
