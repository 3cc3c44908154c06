package report

import (
	"math"
	"strconv"
)

// axis maps values to px.
type axis struct {
	low, high float64 // values at the ends
	log       bool
	from, to  float64 // px of the ends
}

func (a axis) at(v float64) float64 {
	if a.log {
		return a.from + (a.to-a.from)*math.Log(max(v, a.low*1e-9)/a.low)/math.Log(a.high/a.low)
	}
	return a.from + (a.to-a.from)*(v-a.low)/(a.high-a.low)
}

// within keeps px on the axis.
func (a axis) within(px float64) float64 {
	return max(min(a.from, a.to), min(max(a.from, a.to), px))
}

// linear is an axis from 0 to a value, with room beyond it.
func linear(most float64) axis {
	if !(most > 0) {
		most = 1
	}
	return axis{high: most * 1.05}
}

// logarithmic is an axis from one value to another, both over 0, that begins and
// ends at 1, 2 or 5 times a power of 10.
func logarithmic(least, most float64) axis {
	if !(least > 0 && most >= least) {
		least, most = 1, 10
	}
	a := axis{low: roundDown(least), high: roundUp(most), log: true}
	if a.high <= a.low {
		a.high = roundUp(a.low * 1.5)
	}
	return a
}

var steps125 = []float64{1, 2, 5, 10}

func roundDown(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for i := len(steps125) - 1; i > 0; i-- {
		if steps125[i]*ten <= v*(1+1e-9) {
			return steps125[i] * ten
		}
	}
	return ten
}

func roundUp(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range steps125 {
		if s*ten >= v*(1-1e-9) {
			return s * ten
		}
	}
	return 10 * ten
}

// ticks are round values on the axis, at least gap px apart.
func (a axis) ticks(gap float64) []float64 {
	room := max(1, math.Abs(a.to-a.from)/gap)
	if !a.log {
		step := roundUp((a.high - a.low) / room)
		var all []float64
		for i := math.Ceil(a.low / step); i*step <= a.high*(1+1e-9); i++ {
			all = append(all, i*step)
		}
		return all
	}
	for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		if t := a.decades(steps, 1); tightest(steps)*math.Abs(a.to-a.from)/math.Log10(a.high/a.low) >= gap {
			return t
		}
	}
	every := math.Ceil(math.Log10(a.high/a.low) / room)
	return a.decades([]float64{1}, int(every))
}

// tightest is the smallest distance of steps within a decade, in decades.
func tightest(steps []float64) float64 {
	least := 1.0
	for i, s := range steps {
		next := 10.0
		if i+1 < len(steps) {
			next = steps[i+1]
		}
		least = min(least, math.Log10(next/s))
	}
	return least
}

// decades are steps times every so many powers of 10 within the axis.
func (a axis) decades(steps []float64, every int) []float64 {
	var all []float64
	for e := int(math.Floor(math.Log10(a.low) + 1e-9)); math.Pow10(e) <= a.high*(1+1e-9); e += max(1, every) {
		for _, s := range steps {
			if v := s * math.Pow10(e); v >= a.low*(1-1e-9) && v <= a.high*(1+1e-9) {
				all = append(all, v)
			}
		}
	}
	return all
}

// rateTick writes keys per second, secondsTick a duration in seconds: both exact,
// as ticks are round.
func rateTick(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 1e6:
		return short(v/1e6) + " M/s"
	case v >= 1e3:
		return short(v/1e3) + " k/s"
	}
	return short(v) + "/s"
}

func secondsTick(v float64) string {
	const slack = 1 - 1e-9 // 0.001 may be a little less
	switch {
	case v >= slack:
		return short(v) + " s"
	case v >= 1e-3*slack:
		return short(v*1e3) + " ms"
	case v >= 1e-6*slack:
		return short(v*1e6) + " µs"
	}
	return short(v*1e9) + " ns"
}

func short(v float64) string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
