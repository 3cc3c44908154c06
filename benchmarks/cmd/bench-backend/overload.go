package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/report"
)

// shares are the offered loads, as parts of capacity.
var shares = []float64{.2, .5, .8, 1, 1.2, 1.5, 2}

// contender is a way to live with overload.
type contender struct {
	name   string
	config fulcrum.BackendConfig
	policy fulcrum.Policy
	steps  []*load.Step // by share, all rounds together
	k      []int        // by share, at the end of the last round
}

// overload offers more and more, up to twice what can be answered.
func (b *bench) overload() error {
	p, err := b.away(0)
	if err != nil {
		return err
	}
	capacity, err := p.capacity()
	if err != nil {
		return err
	}
	both := []*contender{
		{name: "Fulcrum"},
		{name: "threshold rule", config: fulcrum.BackendConfig{Tuner: fulcrum.TunerThreshold, NoCircuit: true}, policy: fulcrum.Policy{MaxQueueTime: -1}},
	}
	for _, c := range both {
		c.steps, c.k = make([]*load.Step, len(shares)), make([]int, len(shares))
	}
	for round := range b.rounds {
		for i, share := range shares {
			for _, c := range both {
				if err := c.offer(p, i, share*capacity, uint64(round)); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintf(b.out, overloadHeading, capacity, b.rounds)
	for i, share := range shares {
		for _, c := range both {
			s := c.steps[i]
			fmt.Fprintf(b.out, "| %.0f %% | %s | %.0f | %s | %s | %.1f %% | %d |\n", 100*share, c.name, s.Throughput(),
				millis(s.Response.Quantile(.5)), millis(s.Response.Quantile(.99)), 100*float64(s.Due-s.Good)/float64(s.Due), c.k[i])
		}
	}
	b.verdict(both[0])
	return b.draw(both)
}

const overloadHeading = `
## Overload

Capacity is %.0f rows/s (closed loop, best K). Open loop, Poisson, %d rounds of 4 s after 3 s unrecorded, begun anew each time; callers wait for 2 s. The
threshold rule shrinks batches when p95 is over 200 ms, grows them under 1,000 requests/s, and refuses nothing before 50,000 keys wait.

| offered | contender | goodput rows/s | p50 ms | p99 ms of the served | refused or late | K |
|---|---|---|---|---|---|---|
`

// verdict compares twice the capacity with the peak, and with 80 % of it.
func (b *bench) verdict(c *contender) {
	peak, at80, at200 := 0.0, c.steps[2], c.steps[len(shares)-1]
	for _, s := range c.steps {
		peak = max(peak, s.Throughput())
	}
	low, high := at80.Response.Quantile(.99), at200.Response.Quantile(.99)
	fmt.Fprintf(b.out, "\nAt twice the capacity Fulcrum's goodput is %.0f %% of its peak (gate: 90), and the p99 of what is served %.1f times that at 80 %% load (gate: under 5).\n",
		100*at200.Throughput()/peak, float64(high)/float64(low))
}

// offer is one round at one load.
func (c *contender) offer(p *place, i int, rate float64, seed uint64) error {
	r, err := p.reader(c.config, c.policy)
	if err != nil {
		return err
	}
	step, err := r.open(rate, 3*time.Second, 4*time.Second, seed)
	c.k[i] = r.backend.Stats().InFlight
	if err := errors.Join(err, r.close()); err != nil {
		return err
	}
	if c.steps[i] == nil {
		c.steps[i] = step
	} else {
		c.steps[i].Add(step)
	}
	return nil
}

func (b *bench) draw(both []*contender) error {
	if b.plot == "" {
		return nil
	}
	r := report.Report{Title: "Overload: the load of a database, up to twice what it can answer", Machine: duel.Machine()}
	for _, c := range both {
		curve := report.Curve{Name: c.name}
		for _, s := range c.steps {
			curve.Steps = append(curve.Steps, report.Step{Step: s})
		}
		r.Curves = append(r.Curves, curve)
	}
	return report.WritePlot(b.plot, r)
}
