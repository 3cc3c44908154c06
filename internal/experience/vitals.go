package experience

import (
	"math"
	"slices"
	"time"
)

// Vital is one of the web vitals.
type Vital int

// The web vitals. CLS has no unit; all others are in seconds.
const (
	TTFB Vital = iota // time to first byte
	FCP               // first contentful paint
	LCP               // largest contentful paint
	INP               // interaction to next paint
	CLS               // cumulative layout shift
	Vitals
)

var vitalNames = [Vitals]string{"TTFB", "FCP", "LCP", "INP", "CLS"}

// String is its usual abbreviation.
func (v Vital) String() string {
	if v < 0 || v >= Vitals {
		return "unknown"
	}
	return vitalNames[v]
}

// thresholds of each vital: good up to the first, poor beyond the second. They are
// those of https://web.dev/articles/vitals.
var thresholds = [Vitals][2]float64{TTFB: {.8, 1.8}, FCP: {1.8, 3}, LCP: {2.5, 4}, INP: {.2, .5}, CLS: {.1, .25}}

// Rating is how a value is judged.
type Rating int

// The ratings.
const (
	Good Rating = iota
	NeedsImprovement
	Poor
	ratings
)

// String is the rating in words.
func (r Rating) String() string {
	return [ratings]string{"good", "needs improvement", "poor"}[r]
}

// Rate judges one value of a vital.
func (v Vital) Rate(value float64) Rating {
	switch t := thresholds[v]; {
	case value <= t[0]:
		return Good
	case value <= t[1]:
		return NeedsImprovement
	}
	return Poor
}

// Summary is a vital over many visits.
type Summary struct {
	Samples int
	P75     float64      // NaN without samples
	Rating  Rating       // of P75; without samples it says nothing
	Ratings [ratings]int // how many of the samples were good, …
}

// Summarize judges a vital by its 75th percentile, the least value that at least three
// quarters of the samples do not exceed. Samples that are NaN are not there.
func Summarize(v Vital, samples []float64) Summary {
	s := Summary{P75: math.NaN()}
	there := make([]float64, 0, len(samples))
	for _, x := range samples {
		if !math.IsNaN(x) {
			there = append(there, x)
			s.Ratings[v.Rate(x)]++
		}
	}
	if s.Samples = len(there); s.Samples == 0 {
		return s
	}
	slices.Sort(there)
	s.P75 = there[(3*len(there)+3)/4-1]
	s.Rating = v.Rate(s.P75)
	return s
}

// Apdex is the share of people who are satisfied (waited at most target) plus half of
// those who tolerate it (at most four times that). Failed requests count as neither.
// It is NaN if there is nobody.
func Apdex(waits []time.Duration, failed int, target time.Duration) float64 {
	sum := 0.0
	for _, w := range waits {
		switch {
		case w <= target:
			sum++
		case w <= 4*target:
			sum += .5
		}
	}
	return sum / float64(len(waits)+failed)
}
