package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
	"github.com/fulcrum-data/fulcrum/internal/load/target"
)

// bench is a benchmark in progress.
type bench struct {
	benchPlan
	cmd        *benchCommand
	reads      string    // the table
	begun      time.Time // the first step
	contenders []*contender
	closers    []func() error
	run        func(context.Context, load.Config) (*load.Step, error)
	progress   *progress
	table      *benchTable
}

// contender is what is loaded.
type contender struct {
	name   string
	chunk  int // keys in a request
	target load.Target
	usage  func() target.Usage // of the database; nil of a service
	steps  []*measured
	search *curve.Search
	over   bool                    // the search came to loads that tell nothing
	tries  map[float64][]*measured // of each load of the search
	result *curve.Result           // of its curve
}

// measured is a step with what the database did meanwhile.
type measured struct {
	*load.Step
	strategy string
	offer    offer
	asked    bool         // whether used is known
	used     target.Usage // within the window
	breach   string       // why the SLO is not kept
}

// add takes another round into account.
func (m *measured) add(o *measured) {
	if m.Step == nil {
		*m = *o
		return
	}
	m.Add(o.Step)
	m.use(o)
}

func (m *measured) use(o *measured) {
	m.used.Queries += o.used.Queries
	m.used.Rows += o.used.Rows
	m.used.CPU += o.used.CPU
	m.used.CPUKnown = o.used.CPUKnown
}

func (b *bench) close() {
	for _, c := range b.closers {
		_ = c() // what was measured is measured
	}
	b.closers = nil
}

// anyValid says whether there is any figure.
func (b *bench) anyValid() bool {
	for _, c := range b.contenders {
		for _, m := range c.steps {
			if m.Verdict() == "" {
				return true
			}
		}
	}
	return false
}

func (b *bench) measure(ctx context.Context) error {
	b.begun = time.Now()
	if b.cmd.Curve {
		return b.searchAll(ctx)
	}
	b.progress.begin(len(b.loads) * b.rounds * len(b.contenders))
	for _, o := range b.loads {
		steps := make([]*measured, len(b.contenders))
		for i := range steps {
			steps[i] = new(measured)
		}
		err := b.allRounds(ctx, o, steps)
		for i, m := range steps {
			if m.Step != nil {
				b.finished(b.contenders[i], m)
			}
		}
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// allRounds loads all contenders in turn, round by round, each round with the next
// one first: what disturbs the machine for a while then disturbs all alike.
func (b *bench) allRounds(ctx context.Context, o offer, steps []*measured) error {
	n := len(b.contenders)
	for round := range b.rounds {
		for i := range n {
			at := (i + round) % n
			m, err := b.once(ctx, b.contenders[at], o, round)
			if err != nil {
				return err
			}
			steps[at].add(m)
			if ctx.Err() != nil {
				return nil
			}
		}
	}
	return nil
}

// finished keeps a step and tells it.
func (b *bench) finished(c *contender, m *measured) {
	if b.slo != (curve.SLO{}) {
		m.breach = b.slo.Breach(m.Step)
	}
	c.steps = append(c.steps, m)
	b.table.row(m)
}

// once is one round of a step.
func (b *bench) once(ctx context.Context, c *contender, o offer, round int) (*measured, error) {
	m := &measured{strategy: c.name, offer: o, asked: c.usage != nil}
	cfg := load.Config{
		Target: c.target, Rate: o.rate, Callers: o.callers, Arrivals: b.arrivals,
		Duration: b.cmd.Duration / time.Duration(b.rounds), Warmup: b.warmup, Drain: b.cmd.Drain,
		Keys: b.keys, Mix: b.mix, Chunk: c.chunk, Seed: b.cmd.Seed + uint64(round),
	}
	var begin, end target.Usage
	if c.usage != nil {
		cfg.Window = func(begins bool) {
			if begins {
				begin = c.usage()
			} else {
				end = c.usage()
			}
		}
	}
	b.progress.step(c.name, o, cfg.Warmup+cfg.Duration)
	var err error
	m.Step, err = b.run(ctx, cfg)
	b.progress.done()
	if err == nil && !m.Interrupted {
		m.used = end.Sub(begin)
	}
	return m, err
}

// searchAll follows the searches of all contenders in turn.
func (b *bench) searchAll(ctx context.Context) error {
	for _, c := range b.contenders {
		c.search = curve.NewSearch(curve.SearchConfig{SLO: b.slo, From: b.cmd.Lowest, Most: b.cmd.Highest})
		c.tries = map[float64][]*measured{}
	}
	for b.left() > 0 && ctx.Err() == nil {
		for _, c := range b.contenders {
			if err := b.searchOn(ctx, c); err != nil {
				return err
			}
		}
	}
	for _, c := range b.contenders {
		b.conclude(c)
	}
	return nil
}

// searchOn measures the next load of a search. One that was interrupted says
// nothing, and is left out.
func (b *bench) searchOn(ctx context.Context, c *contender) error {
	rate, more := c.search.Next()
	if !more || c.over || ctx.Err() != nil {
		return nil
	}
	if rate*b.cmd.Duration.Seconds() < fewest {
		c.over = true // its target cannot do what would tell anything
		return nil
	}
	m, err := b.punctual(ctx, c, offer{rate: rate})
	if err != nil || m.Interrupted {
		return err
	}
	c.tries[rate] = append(c.tries[rate], m)
	c.search.Add(m.Step)
	if m.Late() && onlyLate(c.search.Points()) {
		return fmt.Errorf("bench: this machine is too busy to measure: at %s, %s", offer{rate: rate}, m.Verdict())
	}
	return nil
}

// onlyLate says whether no load could be measured yet because of the generator.
func onlyLate(points []curve.Point) bool {
	for _, p := range points {
		if !p.Step.Late() {
			return false
		}
	}
	return len(points) > 0
}

const (
	fewest   = 100 // requests in a step of a search
	mostLate = 4   // tries of a load while the generator is late
)

// punctual measures a load, and again while the generator is late: a machine that is
// busy for a moment says nothing of the target, and must not mislead a search.
func (b *bench) punctual(ctx context.Context, c *contender, o offer) (m *measured, err error) {
	for try := range mostLate {
		b.progress.begin(b.left())
		m, err = b.once(ctx, c, o, len(c.search.Points())+try)
		if err != nil || m.Interrupted || !m.Late() {
			break
		}
	}
	return m, err
}

// left is about how many steps the searches still need.
func (b *bench) left() int {
	n := 0
	for _, c := range b.contenders {
		if !c.over {
			n += c.search.Left()
		}
	}
	return n
}

// conclude makes steps and a result of what a search has found.
func (b *bench) conclude(c *contender) {
	points := c.search.Points()
	for _, p := range points {
		m := &measured{strategy: c.name, offer: offer{rate: p.Rate}, asked: c.usage != nil, Step: p.Step, breach: p.Breach}
		for _, try := range c.tries[p.Rate] {
			if try.Step == p.Step || p.Step == c.tries[p.Rate][0].Step { // of two, the first holds both, unless it was passed over
				m.use(try)
			}
		}
		c.steps = append(c.steps, m)
		b.table.row(m)
	}
	if len(points) > 0 {
		r := curve.Analyse(points, b.slo)
		c.result = &r
	}
}
