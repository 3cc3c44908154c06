package regret

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/sim"
)

// A Cell is a scenario that every contender is put through.
type Cell struct {
	Name     string
	Grid     bool    // of the grid; else a dynamic scenario
	Load     float64 // part of capacity; 0 where it varies
	SetUp    string  // round trip, cores and q, or the letter of a set-up
	Setup    func(seed uint64) sim.Setup
	Capacity float64 // keys per second
}

const maxBatch = 1000

// perKey is c1 by the number of cores.
var perKey = map[int]time.Duration{2: 10 * time.Microsecond, 4: 15 * time.Microsecond, 16: 40 * time.Microsecond}

func backend(rtt time.Duration, cores, q int) sim.Backend {
	c1 := perKey[cores]
	return sim.Backend{RoundTrip: rtt, PerBatch: time.Duration(q) * c1, PerKey: c1, Cores: cores, Sigma: 0.25, Crowding: 0.02}
}

// steady is a setup measured from 3 to at most 7 s.
func steady(b sim.Backend, l sim.Load, seed uint64) sim.Setup {
	return sim.Setup{
		Backend: b, Load: l, Cost: dispatch.Cost{A: b.PerBatch, B: b.PerKey}, Seed: seed, Twin: true,
		From: 3 * time.Second, To: 7 * time.Second,
	}
}

var (
	roundTrips = []time.Duration{50 * time.Microsecond, time.Millisecond, 5 * time.Millisecond}
	coreCounts = []int{2, 16}
	ratios     = []int{10, 44, 300}
	loads      = []float64{0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 1.1, 1.3, 2}
)

// Grid is every round trip by cores by q by load: 180 cells.
func Grid() []Cell {
	var all []Cell
	for _, load := range loads {
		for _, rtt := range roundTrips {
			for _, cores := range coreCounts {
				for _, q := range ratios {
					all = append(all, gridCell(rtt, cores, q, load))
				}
			}
		}
	}
	return all
}

func gridCell(rtt time.Duration, cores, q int, load float64) Cell {
	b := backend(rtt, cores, q)
	capacity := b.Capacity(maxBatch)
	setUp := fmt.Sprintf("%s, %d cores, q %d", rtt, cores, q)
	return Cell{
		Name: fmt.Sprintf("%s, load %.0f %%", setUp, 100*load), SetUp: setUp, Grid: true, Load: load, Capacity: capacity,
		Setup: func(seed uint64) sim.Setup {
			u := steady(b, sim.Steady(load*capacity), seed)
			u.To = u.From + span(load*capacity)
			return u
		},
	}
}

// span is how long is measured at a rate: enough requests for a p99, 2 to 4 s.
func span(perSecond float64) time.Duration {
	return min(4*s, max(2*s, time.Duration(enough/perSecond*float64(s))))
}

const enough = 300_000

// setUps of the dynamic scenarios.
var setUps = []struct {
	name  string
	rtt   time.Duration
	cores int
}{
	{"A", 50 * time.Microsecond, 2},
	{"B", time.Millisecond, 4},
	{"D", 5 * time.Millisecond, 16},
}

const s = time.Second

// Dynamic is what moves, by set-up.
func Dynamic() []Cell {
	var all []Cell
	for _, u := range setUps {
		b := backend(u.rtt, u.cores, 44)
		d := dynamic{setUp: u.name, backend: b, capacity: b.Capacity(maxBatch)}
		all = append(all, d.loads()...)
		all = append(all, d.faults()...)
		all = append(all, d.work()...)
	}
	return all
}

type dynamic struct {
	setUp    string
	backend  sim.Backend
	capacity float64
}

// cell measures from one time to another.
func (d dynamic) cell(name string, from, to time.Duration, change func(s *sim.Setup, seed uint64)) Cell {
	return Cell{
		Name: d.setUp + ": " + name, SetUp: d.setUp, Capacity: d.capacity,
		Setup: func(seed uint64) sim.Setup {
			s := steady(d.backend, sim.Load{}, seed)
			s.From, s.To = from, to
			change(&s, seed)
			return s
		},
	}
}

// rates is a load that changes, in parts of capacity.
func (d dynamic) rates(pairs ...float64) sim.Load {
	var l sim.Load
	for i := 0; i < len(pairs); i += 2 {
		l.Rate = append(l.Rate, sim.Rate{From: time.Duration(pairs[i] * float64(s)), PerSecond: pairs[i+1] * d.capacity})
	}
	return l
}

func (d dynamic) loads() []Cell {
	all := []Cell{
		d.cell("step 10→90 %", 4*s, 9*s, func(u *sim.Setup, _ uint64) { u.Load = d.rates(0, .1, 4, .9) }),
		d.cell("burst 15→150→15 %", 4*s, 9*s, func(u *sim.Setup, _ uint64) { u.Load = d.rates(0, .15, 4, 1.5, 6, .15) }),
	}
	for _, period := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, s, 5 * s, 20 * s} {
		until := 3*s + max(6*s, 3*period/2)
		all = append(all, d.cell(fmt.Sprintf("square 20/90 %%, %s", period), 3*s, until, func(u *sim.Setup, _ uint64) {
			u.Load = sim.Square(.2*d.capacity, .9*d.capacity, period, until)
		}))
	}
	for _, load := range []float64{.3, .5} {
		all = append(all, d.cell(fmt.Sprintf("bursts ×3 at %.0f %%", 100*load), 3*s, 9*s, func(u *sim.Setup, _ uint64) {
			u.Load = d.rates(0, load)
			u.Load.Bursts = sim.Bursts{Times: 3, Otherwise: .05, Length: 20 * time.Millisecond}
		}))
	}
	for _, rate := range []float64{100, 1000} {
		all = append(all, d.cell(fmt.Sprintf("%.0f/s", rate), 3*s, 23*s, func(u *sim.Setup, _ uint64) { u.Load = sim.Steady(rate) }))
	}
	return all
}

func (d dynamic) faults() []Cell {
	var all []Cell
	for _, load := range []float64{.25, .5} {
		all = append(all, d.cell(fmt.Sprintf("speed ⅓ at %.0f %%", 100*load), 3*s, 18*s, func(u *sim.Setup, _ uint64) {
			u.Load = d.rates(0, load)
			u.Backend.Slow = []sim.Slow{{From: 5 * s, To: 15 * s, Speed: 1. / 3}}
		}))
	}
	return append(all,
		d.cell("pauses at 60 %", 3*s, 13*s, func(u *sim.Setup, seed uint64) {
			u.Load = d.rates(0, .6)
			u.Backend.Slow = pauses(seed, u.To)
		}),
		d.cell("failures at 70 %", 3*s, 10*s, func(u *sim.Setup, _ uint64) {
			u.Load = d.rates(0, .7)
			u.Backend.FailShare = .02
			u.Backend.HangShare, u.Backend.HangTime = .005, 100*time.Millisecond
		}),
		d.cell("60 % fail from 4 to 6 s at 50 %", 3*s, 9*s, func(u *sim.Setup, _ uint64) {
			u.Load = d.rates(0, .5)
			u.Backend.FailShare, u.Backend.FailFrom, u.Backend.FailTo = .6, 4*s, 6*s
		}),
		d.cell("hangs for 1 s at 60 %", 3*s, 9*s, func(u *sim.Setup, _ uint64) {
			u.Load = d.rates(0, .6)
			u.Backend.Slow = []sim.Slow{{From: 5 * s, To: 6 * s, Speed: 0}}
		}),
	)
}

// pauses take 20 to 100 ms, a second apart on average.
func pauses(seed uint64, until time.Duration) []sim.Slow {
	random := rand.New(rand.NewPCG(seed, 4))
	var all []sim.Slow
	for at := time.Duration(0); ; {
		at += time.Duration(random.ExpFloat64() * float64(s))
		if at >= until {
			return all
		}
		end := at + 20*time.Millisecond + time.Duration(random.Int64N(int64(80*time.Millisecond)))
		all = append(all, sim.Slow{From: at, To: end})
		at = end
	}
}

func (d dynamic) work() []Cell {
	var all []Cell
	for _, load := range []float64{.3, .6} {
		all = append(all, d.cell(fmt.Sprintf("1 %% of keys cost 100x, at %.0f %%", 100*load), 3*s, 10*s, func(u *sim.Setup, _ uint64) {
			b := &u.Backend
			b.HeavyShare, b.HeavyTimes = .01, 100
			mean := *b
			mean.PerKey = time.Duration(float64(b.PerKey) * (1 + .01*99))
			u.Load = sim.Steady(load * mean.Capacity(maxBatch))
		}))
	}
	return append(all,
		d.cell("FIFO at 80 %", 3*s, 9*s, func(u *sim.Setup, _ uint64) { u.Load, u.Backend.FIFO = d.rates(0, .8), true }),
		d.cell("σ .7 at 80 %", 3*s, 9*s, func(u *sim.Setup, _ uint64) { u.Load, u.Backend.Sigma = d.rates(0, .8), .7 }),
	)
}
