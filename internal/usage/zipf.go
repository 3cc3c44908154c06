package usage

import "math"

// headCount is how often a key must have been asked for to be judged by its rank:
// below, chance decides about ranks.
const headCount = 20

const maxSkew = 3

// headSkew is the s of p(rank) ∝ rank^−s over the keys with at least headCount
// requests, by maximum likelihood:
//
//	Σ c·ln(rank)/Σ c = Σ ln(r)·r^−s / Σ r^−s
//
// counts fall. It is false with fewer than ten such keys. The misfit is the largest
// difference between the cumulated shares and the fitted ones (Kolmogorov-Smirnov).
func headSkew(counts []uint32) (s, misfit float64, ok bool) {
	head := counts
	for i, c := range counts {
		if c < headCount {
			head = counts[:i]
			break
		}
	}
	if len(head) < 10 {
		return 0, 0, false
	}
	all, logs := 0.0, 0.0
	for i, c := range head {
		all += float64(c)
		logs += float64(c) * math.Log(float64(i+1))
	}
	ranks := newRanks(float64(len(head)))
	low, high := 0.0, float64(maxSkew)
	for range 50 {
		s = (low + high) / 2
		if sum, logSum := ranks.sums(s); logSum/sum > logs/all {
			low = s
		} else {
			high = s
		}
	}
	norm, _ := ranks.sums(s)
	seen, fitted := 0.0, 0.0
	for i, c := range head {
		seen += float64(c) / all
		fitted += math.Pow(float64(i+1), -s) / norm
		misfit = max(misfit, math.Abs(seen-fitted))
	}
	return s, misfit, true
}

// ranks are 1 to n in bins: the first hundreds each its own, then bins of 2 %, at
// whose middles a power of the rank is within 0.01 % of its mean.
type ranks struct{ log, n []float64 }

func newRanks(n float64) ranks {
	var r ranks
	for from := 1.0; from <= n; {
		width := 1.0
		if from > 200 {
			width = math.Floor(from / 50)
		}
		width = min(width, math.Floor(n)-from+1)
		r.log = append(r.log, math.Log(from+(width-1)/2))
		r.n = append(r.n, width)
		from += width
	}
	return r
}

// sums are Σ r^−s and Σ ln(r)·r^−s.
func (r ranks) sums(s float64) (sum, logSum float64) {
	for i, l := range r.log {
		p := r.n[i] * math.Exp(-s*l)
		sum += p
		logSum += p * l
	}
	return sum, logSum
}
