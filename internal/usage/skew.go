package usage

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/mathext"
)

// A Skew is the s of p(rank) ∝ rank^−s over all keys, with its interval of 95 %.
type Skew struct {
	S, Low, High float64
	Misfit       float64 // largest difference between the shares of keys with at least so many requests, seen and expected
	Fits         bool    // the misfit is what chance allows, and 2 %
}

// spectrum is what a Zipf law over all keys is fitted to. Nobody knows which key has
// which true rank, and ranks by count are biased, the more so the flatter the law. So
// it is fitted to what needs no ranks: the number of requests N, of keys seen D, and
//
//	T = Σ c·ln c
//
// The expectations of D and T given s and the number of keys n are sums over Poisson
// variables; n follows from D, s from T. Where the counts are large, that is the
// maximum-likelihood estimate for known ranks, with its variance 1/(N·Var ln rank). The
// interval holds the s at which T is within 1.96 standard deviations.
type spectrum struct {
	requests float64
	seen     float64
	entropy  float64
}

func newSpectrum(counts []uint32) spectrum {
	p := spectrum{seen: float64(len(counts))}
	for _, c := range counts {
		p.requests += float64(c)
		p.entropy += float64(c) * math.Log(float64(c))
	}
	return p
}

// fitSkew fits a Zipf law over all keys. It is false if there is too little to see:
// fewer than ten keys, or fewer than three requests each.
func fitSkew(counts []uint32) (Skew, bool) {
	p := newSpectrum(counts)
	if p.seen < 10 || p.requests < 3*p.seen/2 {
		return Skew{}, false
	}
	root := func(z float64) float64 {
		return crossing(0, maxSkew, 1e-6, func(s float64) float64 { return z - p.score(s) })
	}
	k := Skew{S: root(0), Low: root(1.96), High: root(-1.96)}
	k.Misfit = p.misfit(k.S, counts)
	k.Fits = k.Misfit <= .02+1.63/math.Sqrt(p.seen)
	return k, true
}

// score is how many standard deviations T is above what s lets expect.
func (p spectrum) score(s float64) float64 {
	n := p.keys(s)
	e := p.expect(s, n)
	// How T and D answer to another n, to take out what D tells about n.
	more := p.expect(s, n*1.001)
	beta := 0.0
	if d := more.seen - e.seen; d > 1e-9 {
		beta = (more.entropy - e.entropy) / d
	}
	variance := e.tt - 2*beta*e.td + beta*beta*e.dd
	if variance <= 0 {
		variance = 1e-12
	}
	return (p.entropy - beta*(p.seen-e.seen) - e.entropy) / math.Sqrt(variance)
}

// keys is the number of keys, seen and unseen, that lets expect as many seen.
func (p spectrum) keys(s float64) float64 {
	low := math.Log(p.seen)
	return math.Exp(crossing(low, low+10, 1e-9, func(x float64) float64 { return p.expectSeen(s, math.Exp(x)) - p.seen }))
}

// crossing is where a rising function crosses 0, by false position (the Illinois
// variant), or the end nearest to it.
func crossing(low, high, within float64, f func(float64) float64) float64 {
	a, b := f(low), f(high)
	switch {
	case a >= 0:
		return low
	case b <= 0:
		return high
	}
	side := 0
	for range 60 {
		x := (low*b - high*a) / (b - a)
		if high-low < within {
			return x
		}
		y := f(x)
		if math.Abs(y) < 1e-9*(1+math.Abs(a)+math.Abs(b)) || y == 0 {
			return x
		}
		if y < 0 {
			if x-low < within/4 && side < 0 {
				return x
			}
			low, a = x, y
			if side < 0 {
				b /= 2
			}
			side = -1
		} else {
			if high-x < within/4 && side > 0 {
				return x
			}
			high, b = x, y
			if side > 0 {
				a /= 2
			}
			side = 1
		}
	}
	return (low + high) / 2
}

// means are the expectations of requests per key, and how many keys have them.
func (p spectrum) means(s, n float64) (lambda, keys []float64) {
	r := newRanks(n)
	if rest := n - math.Floor(n); rest > 0 { // n is continuous, so that D is too
		r.log, r.n = append(r.log, math.Log(n)), append(r.n, rest)
	}
	sum, _ := r.sums(s)
	lambda = make([]float64, len(r.log))
	for i, l := range r.log {
		lambda[i] = p.requests * math.Exp(-s*l) / sum
	}
	return lambda, r.n
}

func (p spectrum) expectSeen(s, n float64) float64 {
	lambda, keys := p.means(s, n)
	d := 0.0
	for i, l := range lambda {
		d -= keys[i] * math.Expm1(-l)
	}
	return d
}

// expected are the expectations of D and T, and their variances given N.
type expected struct{ seen, entropy, tt, td, dd float64 }

func (p spectrum) expect(s, n float64) expected {
	lambda, keys := p.means(s, n)
	var e expected
	var tx, dx float64
	for i, l := range lambda {
		k, m := keys[i], momentsOf(l)
		none := math.Exp(-l)
		e.seen += k * (1 - none)
		e.entropy += k * m.mean
		e.tt += k * m.variance
		e.td += k * m.mean * none
		e.dd += k * none * (1 - none)
		tx += k * m.withCount
		dx += k * l * none
	}
	e.tt -= tx * tx / p.requests
	e.td -= tx * dx / p.requests
	e.dd -= dx * dx / p.requests
	return e
}

// misfit compares the shares of keys with at least c requests.
func (p spectrum) misfit(s float64, counts []uint32) float64 {
	lambda, keys := p.means(s, p.keys(s))
	most, i := 0.0, len(counts)
	for c := 1.0; c <= float64(counts[0]); c = max(c+1, math.Floor(c*1.15)) {
		for i > 0 && float64(counts[i-1]) < c {
			i--
		}
		want := 0.0
		for j, l := range lambda {
			want += keys[j] * mathext.GammaIncReg(c, l)
		}
		most = max(most, math.Abs(float64(i)-want)/p.seen)
	}
	return most
}

// logMoments describe X·ln X of a Poisson variable X.
type logMoments struct{ mean, variance, withCount float64 } // withCount: covariance with X

const (
	momentGrid = 64  // points per unit of ln λ
	gridLow    = -16 // ln λ
	gridHigh   = 7
)

var gridOfMoments = sync.OnceValue(func() []logMoments {
	grid := make([]logMoments, (gridHigh-gridLow)*momentGrid+2)
	for i := range grid {
		grid[i] = summedMoments(math.Exp(gridLow + float64(i)/momentGrid))
	}
	return grid
})

// momentsOf looks them up, or where λ is large uses their series.
func momentsOf(l float64) logMoments {
	x := (math.Log(l) - gridLow) * momentGrid
	switch grid := gridOfMoments(); {
	case x < 0:
		return logMoments{}
	case int(x) < len(grid)-1:
		// Interpolated relative to λ, of which all three are smooth multiples.
		i, f := int(x), x-math.Floor(x)
		between := func(a, b float64) float64 {
			if a <= 0 || b <= 0 {
				return a + f*(b-a)
			}
			return math.Exp(math.Log(a) + f*(math.Log(b)-math.Log(a)))
		}
		a, b := grid[i], grid[i+1]
		return logMoments{between(a.mean, b.mean), between(a.variance, b.variance), between(a.withCount, b.withCount)}
	}
	ln := math.Log(l)
	return logMoments{l*ln + .5 + 1/(12*l), l*(1+ln)*(1+ln) + (1 + ln) + .5, l*(1+ln) + .5}
}

// summedMoments adds them up over the Poisson distribution.
func summedMoments(l float64) logMoments {
	var first, second, cross float64
	spread := 12*math.Sqrt(l) + 30
	for x := max(2, math.Floor(l-spread)); x <= l+spread; x++ {
		lg, _ := math.Lgamma(x + 1)
		p := math.Exp(x*math.Log(l) - l - lg)
		g := x * math.Log(x)
		first += p * g
		second += p * g * g
		cross += p * g * x
	}
	return logMoments{first, second - first*first, cross - first*l}
}
