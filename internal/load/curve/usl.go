package curve

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// USL is the Universal Scalability Law by N. J. Gunther, fitted to throughputs X at
// concurrencies N:
//
//	                 γ·N
//	X(N) = ─────────────────────────      γ > 0, α ≥ 0, β ≥ 0
//	       1 + α·(N−1) + β·N·(N−1)
//
// γ is the throughput of one, α the cost of contention, β that of coherence. With
// β > 0 the throughput has a peak; with β = 0 < α it approaches γ/α.
type USL struct {
	Gamma, Alpha, Beta Estimate
	Deviation          float64 // standard deviation of the residuals, in units of X
}

// Estimate is a coefficient with its interval of 95 % confidence. One without
// evidence for it is held at 0, where it has no interval.
type Estimate struct {
	Value     float64
	Low, High float64
	Held      bool
}

// Pair is a measured concurrency and its throughput.
type Pair struct{ N, X float64 }

// At is the throughput at concurrency n.
func (u *USL) At(n float64) float64 {
	return law(n, [3]float64{u.Gamma.Value, u.Alpha.Value, u.Beta.Value})
}

// Peak is the concurrency with the largest throughput, infinite if it grows for
// ever. Where one alone does most, the law may have a pole below 1 and means nothing
// there: the peak is then 1.
func (u *USL) Peak() float64 {
	switch {
	case u.Alpha.Value >= 1:
		return 1
	case u.Beta.Value == 0:
		return math.Inf(1)
	}
	n := math.Sqrt((1 - u.Alpha.Value) / u.Beta.Value)
	if cost(n, u.values()) <= 0 { // cost/N is smallest here: if anywhere, there is a pole
		return 1
	}
	return n
}

// Capacity is the throughput that is never exceeded; infinite if there is none.
func (u *USL) Capacity() float64 {
	if n := u.Peak(); !math.IsInf(n, 1) {
		return u.At(n)
	}
	return u.Gamma.Value / u.Alpha.Value
}

func law(n float64, c [3]float64) float64 { return c[0] * n / cost(n, c) }

// cost is the denominator.
func cost(n float64, c [3]float64) float64 { return 1 + c[1]*(n-1) + c[2]*n*(n-1) }

// leastPairs leaves one degree of freedom.
const leastPairs = 4

// freeSets are the coefficients that are fitted, while the others are held at 0.
var freeSets = [][]int{{0, 1, 2}, {0, 1}, {0, 2}, {0}}

// FitUSL finds the coefficients by nonlinear least squares of the throughputs. It
// needs four different concurrencies. α or β is held at 0 if it would come out below,
// or if the pairs are not enough evidence for it (F test, 95 %).
func FitUSL(pairs []Pair) (*USL, error) {
	different := map[float64]bool{}
	for _, p := range pairs {
		if !(p.N > 0 && p.X > 0) || math.IsInf(p.N, 0) || math.IsInf(p.X, 0) {
			return nil, fmt.Errorf("concurrency %v with throughput %v: both must be over 0", p.N, p.X)
		}
		different[p.N] = true
	}
	if len(different) < leastPairs {
		return nil, fmt.Errorf("%d different concurrencies are too few for a fit, it needs %d", len(different), leastPairs)
	}
	start := guess(pairs)
	var best *fit
	for _, free := range freeSets {
		f := descend(pairs, free, start)
		if f.allowed() && (best == nil || f.squares < best.squares || best.owes(f)) {
			best = f
		}
	}
	if best == nil {
		return nil, errors.New("no coefficients fit")
	}
	return best.usl()
}

// guess solves what becomes linear when the law is turned over: N/X = (1 + α(N−1)
// + βN(N−1))/γ, each pair weighted so that its error is one of X.
func guess(pairs []Pair) [3]float64 {
	a, b := mat.NewDense(len(pairs), 3, nil), mat.NewVecDense(len(pairs), nil)
	steepest := 0.0
	for i, p := range pairs {
		w := p.X * p.X / p.N
		a.SetRow(i, []float64{w, w * (p.N - 1), w * p.N * (p.N - 1)})
		b.SetVec(i, w*p.N/p.X)
		steepest = max(steepest, p.X/p.N)
	}
	var c mat.VecDense
	if err := c.SolveVec(a, b); err != nil || !(c.AtVec(0) > 0) {
		return [3]float64{steepest, .01, 0}
	}
	gamma := 1 / c.AtVec(0)
	start := [3]float64{gamma, max(0, c.AtVec(1)*gamma), max(0, c.AtVec(2)*gamma)}
	if math.IsInf(squares(pairs, start), 1) {
		return [3]float64{steepest, .01, 0}
	}
	return start
}

// squares is the sum of the squared residuals; infinite where the law makes no
// sense.
func squares(pairs []Pair, c [3]float64) float64 {
	sum := 0.0
	for _, p := range pairs {
		if cost(p.N, c) <= 0 {
			return math.Inf(1)
		}
		r := p.X - law(p.N, c)
		sum += r * r
	}
	return sum
}

// fit is coefficients on their way to the least squares.
type fit struct {
	pairs   []Pair
	free    []int
	c       [3]float64
	squares float64
}

const (
	mostRounds = 500
	enough     = 1e-14 // a round that improves less is the last
)

// descend is the method of Levenberg and Marquardt.
func descend(pairs []Pair, free []int, start [3]float64) *fit {
	f := &fit{pairs: pairs, free: free}
	for _, i := range free {
		f.c[i] = start[i]
	}
	f.squares = squares(pairs, f.c)
	for round, damping := 0, 1e-3; round < mostRounds && damping < 1e12; round++ {
		next, ok := f.step(damping)
		s := squares(pairs, next)
		if !ok || !(s <= f.squares) {
			damping *= 10
			continue
		}
		gain := f.squares - s
		f.c, f.squares = next, s
		damping = max(damping/10, 1e-12)
		if gain <= enough*s {
			break
		}
	}
	return f
}

// step solves (JᵀJ + damping·diag JᵀJ)·δ = Jᵀr.
func (f *fit) step(damping float64) (next [3]float64, ok bool) {
	normal, gradient := f.normal()
	for i := range f.free {
		normal.Set(i, i, normal.At(i, i)*(1+damping))
	}
	var delta mat.VecDense
	if err := delta.SolveVec(normal, gradient); err != nil {
		var bad mat.Condition
		if !errors.As(err, &bad) || math.IsInf(float64(bad), 1) {
			return f.c, false
		}
	}
	next = f.c
	for i, j := range f.free {
		next[j] += delta.AtVec(i)
	}
	return next, next[0] > 0
}

// normal is JᵀJ and Jᵀr.
func (f *fit) normal() (*mat.Dense, *mat.VecDense) {
	k := len(f.free)
	normal, gradient := mat.NewDense(k, k, nil), mat.NewVecDense(k, nil)
	for _, p := range f.pairs {
		x, d := law(p.N, f.c), cost(p.N, f.c)
		slopes := [3]float64{x / f.c[0], -x * (p.N - 1) / d, -x * p.N * (p.N - 1) / d}
		for i, fi := range f.free {
			gradient.SetVec(i, gradient.AtVec(i)+slopes[fi]*(p.X-x))
			for j, fj := range f.free {
				normal.Set(i, j, normal.At(i, j)+slopes[fi]*slopes[fj])
			}
		}
	}
	return normal, gradient
}

// owes says whether a fit with a coefficient less is as good: the F test cannot tell
// their squares apart. Noise alone would else make a β, and with it a peak where
// there is none.
func (f *fit) owes(simpler *fit) bool {
	fewer := len(f.free) - len(simpler.free)
	freedom := float64(len(f.pairs) - len(f.free))
	if fewer != 1 || len(simpler.free) < 2 {
		return false
	}
	ratio := (simpler.squares - f.squares) / (f.squares / freedom)
	return ratio < distuv.F{D1: 1, D2: freedom}.Quantile(Confidence)
}

func (f *fit) allowed() bool {
	return f.c[0] > 0 && f.c[1] >= 0 && f.c[2] >= 0 && !math.IsInf(f.squares, 0) && !math.IsNaN(f.squares)
}

// Confidence of the intervals, on both sides together, and of the upper limits that
// an SLO is judged by.
const Confidence = .95

func (f *fit) usl() (*USL, error) {
	freedom := float64(len(f.pairs) - len(f.free))
	variance := f.squares / freedom
	all := [3]Estimate{{Held: true}, {Held: true}, {Held: true}}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile((1 + Confidence) / 2)
	normal, _ := f.normal()
	var inverse mat.Dense
	if err := inverse.Inverse(scaled(normal)); err != nil {
		return nil, fmt.Errorf("the points do not determine the coefficients: %w", err)
	}
	for i, j := range f.free {
		half := t * math.Sqrt(variance*inverse.At(i, i)/normal.At(i, i))
		if math.IsNaN(half) || math.IsInf(half, 0) {
			return nil, errors.New("the points do not determine the coefficients")
		}
		all[j] = Estimate{Value: f.c[j], Low: max(0, f.c[j]-half), High: f.c[j] + half}
	}
	return &USL{Gamma: all[0], Alpha: all[1], Beta: all[2], Deviation: math.Sqrt(variance)}, nil
}

// scaled has ones on its diagonal, so that the sizes of the coefficients do not
// matter to its inverse.
func scaled(m *mat.Dense) *mat.Dense {
	k, _ := m.Dims()
	s := mat.NewDense(k, k, nil)
	for i := range k {
		for j := range k {
			s.Set(i, j, m.At(i, j)/math.Sqrt(m.At(i, i)*m.At(j, j)))
		}
	}
	return s
}
