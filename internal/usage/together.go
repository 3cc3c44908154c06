package usage

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// lingers are the windows at which company is looked for.
var lingers = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// company says who would travel together if the first to come opened a window of
// length w and everyone within it joined:
//
//	B(w) = requests / windows,  clustering = B(w)/(1 + λw)
//
// A Poisson process has a clustering of 1: its requests have company by chance only.
// Times must come in rising order.
type company struct {
	n          uint64
	first, now int64 // ns
	gaps       welford
	open       [len(lingers)]window
	minute     busiest
}

// window is one linger's.
type window struct {
	end     int64 // ns, of the window that is open
	batches uint64
	waited  float64 // ns, of all requests until their window's end
}

func (c *company) add(at int64) {
	if c.n == 0 {
		c.first, c.now = at, at
	} else {
		at = max(at, c.now)
		c.gaps.add(float64(at - c.now))
	}
	c.n++
	c.now = at
	for i := range c.open {
		o := &c.open[i]
		if at >= o.end || o.batches == 0 {
			o.end = at + int64(lingers[i])
			o.batches++
		}
		o.waited += float64(o.end - at)
	}
	c.minute.add(at)
}

// clone can be added to without changing the original.
func (c *company) clone() *company {
	d := *c
	d.minute.now, d.minute.best = slices.Clone(c.minute.now), slices.Clone(c.minute.best)
	return &d
}

// rate is λ in requests per nanosecond.
func (c *company) rate() float64 {
	if c.n < 2 || c.now == c.first {
		return 0
	}
	return float64(c.n-1) / float64(c.now-c.first)
}

// told are the windows that times of a resolution can say something about.
func (c *company) told(resolution time.Duration) []Together {
	all := []Together{}
	if c.n < 2 || c.rate() == 0 {
		return all
	}
	for i, w := range lingers {
		if w < resolution {
			continue
		}
		o := c.open[i]
		b := float64(c.n) / float64(o.batches)
		all = append(all, Together{
			Window: w.Seconds(), MeanBatch: b, Clustering: b / (1 + c.rate()*float64(w)),
			AddedDelay: o.waited / float64(c.n) / 1e9,
		})
	}
	return all
}

// welford is a running mean and variance.
type welford struct{ n, mean, squares float64 }

func (w *welford) add(x float64) {
	w.n++
	d := x - w.mean
	w.mean += d / w.n
	w.squares += d * (x - w.mean)
}

// variation is the standard deviation by the mean.
func (w *welford) variation() (float64, bool) {
	if w.n < 2 || w.mean == 0 {
		return 0, false
	}
	return math.Sqrt(w.squares/w.n) / w.mean, true
}

// maxMinute bounds the arrivals that are kept for the simulator.
const maxMinute = 100_000

// busiest keeps the arrivals of the busiest minute, for the simulator.
type busiest struct {
	now, best       []int64 // ns
	nowAll, bestAll int     // how many there were, also those beyond maxMinute
}

func (b *busiest) add(at int64) {
	if len(b.now) > 0 && at >= b.now[0]+60*second {
		b.close()
	}
	if b.nowAll++; len(b.now) < maxMinute {
		b.now = append(b.now, at)
	}
}

func (b *busiest) close() {
	if b.nowAll > b.bestAll {
		b.best, b.now = b.now, b.best
		b.bestAll = b.nowAll
	}
	b.now, b.nowAll = b.now[:0], 0
}

// sorter puts times that come nearly in order into order.
type sorter struct {
	held []int64
	out  func(at int64)
}

const sorterSize = 1 << 15

func (s *sorter) add(at int64) {
	if s.held == nil {
		s.held = make([]int64, 0, sorterSize)
	}
	if s.held = append(s.held, at); len(s.held) == sorterSize {
		slices.Sort(s.held)
		for _, at := range s.held[:sorterSize/2] {
			s.out(at)
		}
		s.held = append(s.held[:0], s.held[sorterSize/2:]...)
	}
}

// spreader turns counts per tick into times: rising and evenly distributed over the
// tick, as those may have been that were rounded down to its begin.
type spreader struct {
	random *rand.Rand
	gaps   []float64
}

func newSpreader() *spreader { return &spreader{random: rand.New(rand.NewPCG(1, 2))} }

func (s *spreader) spread(from int64, tick time.Duration, n uint32, f func(at int64)) {
	s.gaps = s.gaps[:0]
	all := s.random.ExpFloat64()
	for range n {
		s.gaps = append(s.gaps, all)
		all += s.random.ExpFloat64()
	}
	for _, g := range s.gaps {
		f(from + int64(g/all*float64(tick)))
	}
}
