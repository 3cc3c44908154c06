package curve

import (
	"fmt"
	"math"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// Result is what the points of a curve say. Rates are keys per second; 0 means
// that it is not known, for the reason beside it.
type Result struct {
	SLO      SLO
	SLORate  float64
	SLOLimit string // why no larger load meets the SLO

	PowerRate float64

	Capacity float64 // by the fit; infinite if it sees no end
	USL      *USL
	NoUSL    string // why there is none

	KneeRate float64
	NoKnee   string // why there is none
}

// Analyse looks at the points of a curve, in rising order.
func Analyse(points []Point, slo SLO) Result {
	r := Result{SLO: slo}
	r.sloRate(points)
	if best := powerPoint(points); best >= 0 {
		r.PowerRate = points[best].Rate
	}
	if u, err := FitUSL(pairs(points)); err != nil {
		r.NoUSL, r.NoKnee = err.Error(), "there is no fit"
	} else {
		r.USL, r.Capacity = u, u.Capacity()
		r.KneeRate, r.NoKnee = knee(u, fastest(points))
	}
	return r
}

// sloRate is the largest load that meets the SLO while none below it is known not
// to.
func (r *Result) sloRate(points []Point) {
	for _, p := range points {
		if p.Breach != "" {
			r.SLOLimit = fmt.Sprintf("at %.0f/s: %s", p.Rate, p.Breach)
			return
		}
		r.SLORate = p.Rate
	}
	if len(points) > 0 {
		r.SLOLimit = "no larger load was measured"
	}
}

// powerPoint is the index of the valid point with the largest ratio of throughput
// and mean response; -1 if no point is valid.
func powerPoint(points []Point) int {
	best, most := -1, 0.0
	for i, p := range points {
		if p.Step.Verdict() != "" || p.Step.Response.Mean() == 0 {
			continue
		}
		if power := p.Step.Throughput() / p.Step.Response.Mean().Seconds(); power > most {
			best, most = i, power
		}
	}
	return best
}

// pairs are the concurrencies of the valid points: of an open loop by Little's law,
// N = X·R.
func pairs(points []Point) []Pair {
	var all []Pair
	for _, p := range points {
		if pair, ok := pairOf(p.Step); ok {
			all = append(all, pair)
		}
	}
	return all
}

func pairOf(s *load.Step) (Pair, bool) {
	x := s.Throughput()
	n := float64(s.Callers)
	if s.Callers == 0 {
		n = x * s.Response.Mean().Seconds()
	}
	return Pair{n, x}, s.Verdict() == "" && n > 0 && x > 0
}

// fastest is the largest throughput that was seen, in overload too.
func fastest(points []Point) float64 {
	most := 0.0
	for _, p := range points {
		most = max(most, p.Step.Throughput())
	}
	return most
}

const (
	farEnd   = .99 // of the capacity: where the curve ends, as response has no end there
	nearness = .8  // of the capacity must have been seen, or the fit is a guess
	kneeGrid = 4000
)

// knee is the throughput at which the fitted curve of response over throughput is
// farthest below the straight line from its beginning to 99 % of the capacity,
// with both axes scaled to 1 (V. Satopää et al., "Finding a 'Kneedle' in a
// Haystack", 2011). For a queue with one server, R = S/(1−ρ), that is at 90 %.
func knee(u *USL, fastest float64) (rate float64, why string) {
	capacity := u.Capacity()
	switch {
	case math.IsInf(capacity, 1):
		return 0, "the throughput grew in proportion to the concurrency: no capacity is in sight"
	case fastest < nearness*capacity:
		return 0, fmt.Sprintf("the largest throughput, %.0f/s, is far from the fitted capacity, %.0f/s", fastest, capacity)
	}
	end := u.concurrency(farEnd * capacity)
	response := func(n float64) float64 { return cost(n, u.values()) / u.Gamma.Value }
	r0, r1 := response(0), response(end)
	if !(r0 > 0 && r1 > r0) {
		return 0, "the fitted response does not rise"
	}
	farthest := 0.0
	for i := range kneeGrid {
		x := farEnd * capacity * float64(i) / kneeGrid
		y := (response(u.concurrency(x)) - r0) / (r1 - r0)
		if d := x/(farEnd*capacity) - y; d > farthest {
			rate, farthest = x, d
		}
	}
	return rate, ""
}

func (u *USL) values() [3]float64 { return [3]float64{u.Gamma.Value, u.Alpha.Value, u.Beta.Value} }

// concurrency is the smaller one with throughput x, below the capacity.
func (u *USL) concurrency(x float64) float64 {
	low, high := 0.0, u.Peak()
	if math.IsInf(high, 1) {
		for high = 1; u.At(high) < x; high *= 2 {
			low = high
		}
	}
	for range 100 {
		if middle := (low + high) / 2; u.At(middle) < x {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}
