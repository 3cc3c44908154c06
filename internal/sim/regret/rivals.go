package regret

import (
	"math"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// Contenders are all that stand in the table beside the best fixed K. The rivals
// start at 4, the K that the library has without a tuner, and were not tuned.
func Contenders() []Contender {
	return []Contender{
		Auto(), Fixed(4), Fixed(8),
		{Name: "climber", Make: func() tune.Tuner { return &climber{rival: newRival(), up: true} }},
		{Name: "gradient2", Make: func() tune.Tuner { return &gradient{rival: newRival(), limit: rivalStart} }},
		{Name: "threshold", Make: func() tune.Tuner { return tuner(tune.Config{Kind: tune.Threshold}) }},
		{Name: "threshold from 50", Make: func() tune.Tuner { return threshold50() }},
	}
}

const rivalStart = 4

// threshold50 starts with the batch of a usual fixed window.
func threshold50() tune.Tuner {
	t, err := tune.New(tune.Config{Kind: tune.Threshold, MaxBatch: 50})
	if err != nil {
		panic(err) // the configuration is ours
	}
	return t
}

// rival is what they have in common: windows of at least 100 ms and 10 batches.
type rival struct {
	now     tune.Decision
	begin   time.Duration
	batches int
	service float64 // ns, sum
	keys    int
	busy    int // sum of batches in flight
}

func newRival() rival {
	return rival{now: tune.Decision{InFlight: rivalStart, From: rivalStart, MaxBatch: maxBatch}}
}

const rivalWindow = 100 * time.Millisecond

// Decision is the last one.
func (r *rival) Decision() tune.Decision { return r.now }

// add takes a batch in and says whether a window is over.
func (r *rival) add(now time.Duration, o *tune.Observation) bool {
	if !o.OK {
		return false
	}
	r.batches++
	r.keys += o.Keys
	r.busy += o.InFlight
	r.service += float64(o.Service)
	return now-r.begin >= rivalWindow && r.batches >= 10
}

// set ends the window with a new K.
func (r *rival) set(now time.Duration, k float64) tune.Decision {
	r.now.From = r.now.InFlight
	r.now.InFlight = int(min(maxInFlight, max(1, math.Round(k))))
	r.begin, r.batches, r.keys, r.busy, r.service = now, 0, 0, 0, 0
	return r.now
}

// climber changes K by a quarter and keeps the direction while that helps:
// throughput by 2 % counts most, then a shorter p95.
type climber struct {
	rival
	up      bool
	lastX   float64 // keys per second
	lastP95 float64
}

// Step climbs twice a second, as often as the p95 is new.
func (c *climber) Step(now time.Duration, o *tune.Observation) (tune.Decision, bool) {
	if !c.add(now, o) || o.P95 == 0 || now-c.begin < 5*rivalWindow {
		return c.now, false
	}
	x, p95 := float64(c.keys)/(now-c.begin).Seconds(), o.P95.Seconds()
	better := p95 < c.lastP95
	if x > 1.02*c.lastX || x < 0.98*c.lastX {
		better = x > c.lastX
	}
	if !better {
		c.up = !c.up
	}
	c.lastX, c.lastP95 = x, p95
	k := float64(c.now.InFlight)
	by := max(1, k/4)
	if !c.up {
		by = -by
	}
	return c.set(now, k+by), true
}

// gradient is Gradient2 of Netflix's concurrency-limits with its defaults: the limit
// follows the ratio of a long to a short average of raw service times, plus a queue of 4.
type gradient struct {
	rival
	limit, long float64
}

const (
	gradientTolerance = 1.5
	gradientSmoothing = 0.2
	gradientQueue     = 4
	gradientMemory    = 600 // windows in the long average
)

// Step follows the gradient once a window.
func (g *gradient) Step(now time.Duration, o *tune.Observation) (tune.Decision, bool) {
	if !g.add(now, o) {
		return g.now, false
	}
	short := g.service / float64(g.batches)
	if g.long == 0 {
		g.long = short
	}
	g.long += (short - g.long) * 2 / (gradientMemory + 1)
	if g.long > 2*short {
		g.long *= 0.95
	}
	if float64(g.busy)/float64(g.batches) >= g.limit/2 {
		slope := max(0.5, min(1, gradientTolerance*g.long/short))
		g.limit += gradientSmoothing * (g.limit*slope + gradientQueue - g.limit)
		g.limit = max(1, min(maxInFlight, g.limit))
	}
	return g.set(now, g.limit), true
}
