package usage

import "math/bits"

// tally is a histogram of stack tally, exact up to a thousand, then with
// steps of 0.1 %.
type tally struct{ weight []float64 }

const (
	stepBits = 10
	steps    = 1 << stepBits
)

// step is the histogram's index of a distance.
func step(d uint64) int {
	if d < steps {
		return int(d)
	}
	e := bits.Len64(d) - 1 - stepBits
	return (e+1)<<stepBits + int(d>>e) - steps
}

// stepRange are the tally of an index: from low up to but without high.
func stepRange(i int) (low, high float64) {
	if i < steps {
		return float64(i), float64(i) + 1
	}
	e := i>>stepBits - 1
	m := uint64(i&(steps-1)) + steps
	return float64(m << e), float64((m + 1) << e)
}

func (h *tally) add(d, weight float64) {
	i := step(uint64(d + .5))
	for i >= len(h.weight) {
		h.weight = append(h.weight, make([]float64, steps)...)
	}
	h.weight[i] += weight
}

func (h *tally) total() float64 {
	sum := 0.0
	for _, w := range h.weight {
		sum += w
	}
	return sum
}

// upTo is the weight of tally up to d, a step that d divides counting in part.
func (h *tally) upTo(d float64) float64 {
	sum := 0.0
	for i, w := range h.weight {
		low, high := stepRange(i)
		if low > d {
			break
		}
		sum += w * min(1, (d+1-low)/(high-low))
	}
	return sum
}

// value is the middle of the step that holds a rank, counted from 1.
func (h *tally) value(rank float64) float64 {
	sum := 0.0
	for i, w := range h.weight {
		if sum += w; sum >= rank {
			low, high := stepRange(i)
			return (low + high - 1) / 2
		}
	}
	return 0
}
