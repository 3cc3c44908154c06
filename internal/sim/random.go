package sim

import (
	"math"
	"math/rand/v2"
)

// stream is a source of random numbers of its own: what one part of a simulation
// draws must not depend on what another one does.
type stream struct{ *rand.Rand }

func newStream(seed, which uint64) stream {
	return stream{rand.New(rand.NewPCG(seed, which))}
}

// lognormal has mean 1 and the given σ of its logarithm.
func (s stream) lognormal(sigma float64) float64 {
	if sigma == 0 {
		return 1
	}
	return math.Exp(sigma*s.NormFloat64() - sigma*sigma/2)
}

// binomial is how many of n succeed with probability p, by skipping failures: cheap
// where p is small.
func (s stream) binomial(n int, p float64) int {
	if p <= 0 {
		return 0
	}
	scale := 1 / math.Log1p(-p)
	hits := 0
	for at := int(math.Log(1-s.Float64()) * scale); at < n; at += 1 + int(math.Log(1-s.Float64())*scale) {
		hits++
	}
	return hits
}
