package curve

import (
	"cmp"
	"math"
	"slices"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// Point is a load and what came of it.
type Point struct {
	Rate   float64 // offered, keys per second
	Step   *load.Step
	Breach string // why it does not meet the SLO; empty if it does
}

// SearchConfig says what to look for, and where.
type SearchConfig struct {
	// SLO to find the largest load for. Required.
	SLO SLO
	// From is the first load in keys per second. Default 100.
	From float64
	// Most is the largest load in keys per second. Default 1,000,000.
	Most float64
	// Growth is the factor from one load to the next in the sweep, over 1. Default
	// 1.5.
	Growth float64
	// Precision is how closely the SLO rate is found. Default 0.05, for 5 %.
	Precision float64
}

const (
	defaultFrom      = 100
	defaultMost      = 1_000_000
	defaultGrowth    = 1.5
	defaultPrecision = .05

	saturated    = .95 // a throughput below this share of the load is as much as the target can do
	beyond       = 4   // loads over the SLO rate that are measured on the way to saturation
	mostDescents = 12  // if already the first load is too much
	mostRefined  = 6   // loads beside the power point
	besideOne    = 1.1 // a neighbour of the power point so close is close enough
)

func (c SearchConfig) withDefaults() SearchConfig {
	orDefault(&c.From, defaultFrom)
	orDefault(&c.Most, defaultMost)
	orDefault(&c.Growth, defaultGrowth)
	orDefault(&c.Precision, defaultPrecision)
	return c
}

func orDefault(field *float64, value float64) {
	if *field == 0 {
		*field = value
	}
}

// Search decides which load to measure next. First it sweeps upwards in equal
// factors until the target is saturated, then it bisects between the largest load
// that meets the SLO and the smallest that does not, then it looks at both sides
// of the power point. A load that fails is measured twice before it is believed:
// one disturbance of the machine must not end the search.
type Search struct {
	cfg    SearchConfig
	points []Point
	first  *load.Step // of a load that failed once
	phase  phase
	next   float64
	low    float64 // meets the SLO; 0: none yet
	high   float64 // does not; 0: none yet
	left   int     // loads that the phase may still measure
}

type phase uint8

const (
	sweeping phase = iota
	overtaking
	descending
	bisecting
	refining
	done
)

// NewSearch begins a search.
func NewSearch(cfg SearchConfig) *Search {
	cfg = cfg.withDefaults()
	return &Search{cfg: cfg, next: min(cfg.From, cfg.Most)}
}

// Next is the load to measure; false when all is known.
func (s *Search) Next() (rate float64, ok bool) { return s.next, s.phase != done }

// Points are the loads that were measured, in rising order.
func (s *Search) Points() []Point {
	return slices.SortedFunc(slices.Values(s.points), func(a, b Point) int { return cmp.Compare(a.Rate, b.Rate) })
}

// Left is about how many loads are still to be measured.
func (s *Search) Left() int {
	switch s.phase {
	case sweeping:
		return 12
	case overtaking, descending:
		return 10
	case bisecting:
		return s.bisections() + 2
	case refining:
		return s.left
	}
	return 0
}

func (s *Search) bisections() int {
	return max(1, int(math.Ceil(math.Log2(math.Log(s.high/s.low)/math.Log(1+s.cfg.Precision)))))
}

// Add tells what came of the load that Next named.
func (s *Search) Add(step *load.Step) {
	breach := s.cfg.SLO.Breach(step)
	if breach != "" && s.first == nil {
		s.first = step
		return // once more
	}
	if first := s.first; first != nil {
		s.first = nil
		if !first.Late() && !step.Late() { // else the first tells nothing of the target
			first.Add(step)
			step, breach = first, s.cfg.SLO.Breach(first)
		}
	}
	p := Point{s.next, step, breach}
	s.points = append(s.points, p)
	s.bound()
	s.decide(p)
}

// bound moves what is known of the SLO rate: between the smallest load that fails
// and the largest below it that does not.
func (s *Search) bound() {
	s.low, s.high = 0, 0
	for _, p := range s.Points() {
		if p.Breach != "" {
			s.high = p.Rate
			return
		}
		s.low = p.Rate
	}
}

// decide chooses the next load.
func (s *Search) decide(p Point) {
	switch s.phase {
	case sweeping:
		if p.Breach == "" {
			s.grow(p)
			return
		}
		s.phase, s.left = overtaking, beyond
		fallthrough
	case overtaking:
		if s.left--; s.left < 0 || saturates(p.Step) {
			s.turn()
			return
		}
		s.grow(p)
	case descending:
		s.descend()
	case bisecting:
		s.bisect()
	case refining:
		s.refine()
	}
}

func saturates(step *load.Step) bool {
	return step.Verdict() != "" || step.Throughput() < saturated*step.Offered()
}

// grow goes on upwards.
func (s *Search) grow(p Point) {
	if p.Rate >= s.cfg.Most {
		s.turn()
		return
	}
	s.next = min(p.Rate*s.cfg.Growth, s.cfg.Most)
}

// turn ends the sweep.
func (s *Search) turn() {
	if s.low == 0 {
		s.phase, s.left = descending, mostDescents
		s.descend()
		return
	}
	s.bisect()
}

// descend looks for a load that meets the SLO below the first.
func (s *Search) descend() {
	if s.low > 0 {
		s.bisect()
		return
	}
	lowest := s.Points()[0].Step
	if s.left--; s.left < 0 || s.cfg.SLO.least() > float64(lowest.Due)/2 {
		s.phase = done // half the load would be too few requests to be sure of anything
		return
	}
	s.next = s.high / 2
}

func (s *Search) bisect() {
	s.phase = bisecting
	if s.high == 0 || s.high/s.low <= 1+s.cfg.Precision {
		s.phase, s.left = refining, mostRefined
		s.refine()
		return
	}
	s.next = math.Sqrt(s.low * s.high)
}

// refine measures between the power point and its neighbours.
func (s *Search) refine() {
	points := s.Points()
	best := powerPoint(points)
	if s.left--; s.left < 0 || best < 0 {
		s.phase = done
		return
	}
	for _, other := range []int{best + 1, best - 1} {
		if other < 0 || other == len(points) {
			continue
		}
		low, high := points[min(best, other)].Rate, points[max(best, other)].Rate
		if high/low > besideOne {
			s.next = math.Sqrt(low * high)
			return
		}
	}
	s.phase = done
}
