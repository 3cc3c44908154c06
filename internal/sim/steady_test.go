package sim

import (
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// slower makes a backend whose batches take longer, so that hours of it are cheap.
func slower(s Setup, load float64) Setup {
	s.Backend.PerBatch *= 20
	s.Backend.PerKey *= 20
	s.Cost.A, s.Cost.B = 20*s.Cost.A, 20*s.Cost.B
	s.Load = Steady(load * s.Backend.Capacity(1000))
	s.Twin = true
	return s
}

// TestSteadyLoad: over five minutes of steady load K's standard deviation stays
// under a fifth of its mean.
func TestSteadyLoad(t *testing.T) {
	for _, load := range []float64{.2, .5, .8} {
		s := slower(setup(time.Millisecond, 4, 44, load), load)
		s.From, s.To = 10*time.Second, 310*time.Second
		s.Tuner = tuner(t, tune.Config{MaxBatch: 1000})
		if r := Run(s); r.KSpread > 0.2 {
			t.Errorf("load %v: K %.2f ± %.0f %%", load, r.K, 100*r.KSpread)
		}
	}
}

// TestStep: a step from 10 to 90 % of capacity is followed within 2 s: in the third
// second requests take at most twice as long as later.
func TestStep(t *testing.T) {
	for seed := range uint64(3) {
		s := setup(time.Millisecond, 4, 44, 0)
		low, high := .1*s.Backend.Capacity(1000), .9*s.Backend.Capacity(1000)
		s.Load = Load{Rate: []Rate{{0, low}, {2 * time.Second, high}}}
		s.From, s.To, s.Every, s.Twin, s.Seed = 0, 7*time.Second, time.Second, true, seed
		s.Tuner = tuner(t, tune.Config{MaxBatch: 1000})
		r := Run(s)
		if got, later := r.Slices[4], r.Slices[6]; got.Mean > 2*later.Mean || float64(got.Good) < .95*high {
			t.Errorf("seed %d: in the third second %d answered in %s, two seconds later in %s", seed, got.Good, got.Mean, later.Mean)
		}
	}
}
