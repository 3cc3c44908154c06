package regret

import (
	"fmt"
	"math"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/sim"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// FixedK are the numbers of batches in flight among which the best is looked for.
var FixedK = []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64}

const maxInFlight = 64

// A Score is what a contender made of a cell.
type Score struct {
	Mean    float64 `json:"mean"`    // s
	P99     float64 `json:"p99"`     // s
	Goodput float64 `json:"goodput"` // 1/s
	K       float64 `json:"k"`
	KSpread float64 `json:"k_spread"`
}

// value is what the best K has the least of.
func (s Score) value() float64 { return math.Sqrt(s.Mean * s.P99) }

// A Contender makes a tuner for a run.
type Contender struct {
	Name string
	Make func() tune.Tuner
	Warm bool // needs no time to settle
}

// Fixed is the contender of K that never changes.
func Fixed(k int) Contender {
	return Contender{fmt.Sprintf("fixed %d", k), func() tune.Tuner { return tuner(tune.Config{Kind: tune.Fixed, InFlight: k}) }, true}
}

func tuner(c tune.Config) tune.Tuner {
	c.MaxBatch, c.MaxInFlight = maxBatch, maxInFlight
	t, err := tune.New(c)
	if err != nil {
		panic(err) // the configurations here are ours
	}
	return t
}

// Auto is the tuner that is judged.
func Auto() Contender {
	return Contender{Name: "auto", Make: func() tune.Tuner { return tuner(tune.Config{}) }}
}

// run puts a contender through a cell.
func run(c Cell, who Contender, seed uint64) Score {
	setup := c.Setup(seed)
	setup.Tuner = who.Make()
	if who.Warm {
		setup.Begin = max(0, setup.From-settle)
	}
	r := sim.Run(setup)
	return Score{r.Mean().Seconds(), r.P99().Seconds(), r.Goodput(), r.K, r.KSpread}
}

// settle is how long a contender that has nothing to learn runs before it is
// measured.
const settle = 750 * time.Millisecond

// best is the K with the least √(mean·p99) among those with at least 97.5 % of the
// best goodput.
func best(scores map[int]Score) int {
	most := 0.0
	for _, s := range scores {
		most = max(most, s.Goodput)
	}
	k, least := 0, math.Inf(1)
	for _, candidate := range FixedK {
		s, ok := scores[candidate]
		if v := s.value(); ok && s.Goodput >= 0.975*most && v < least {
			k, least = candidate, v
		}
	}
	return k
}

// Regret is how much worse than the best fixed K a contender did, in per cent.
type Regret struct{ Mean, P99, Goodput float64 }

func regret(s, best Score) Regret {
	return Regret{100 * (s.Mean/best.Mean - 1), 100 * (s.P99/best.P99 - 1), 100 * (s.Goodput/best.Goodput - 1)}
}
