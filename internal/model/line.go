package model

const (
	spread   = 0.01 // the least variance of n, as a part of its mean square, for which a slope is fitted: 10 and 12 items are one size
	singular = 1e-9 // of a determinant, as a part of its terms: below, rounding decides
)

// points adds up what a least-squares fit of t on n needs.
type points struct {
	w, n, nn, t, nt float64 // sums of w, w·n, w·n², w·t, w·n·t
	c, cn, cnn      float64 // the same of n, weighted by the count alone
}

// add takes in a point. Its weight is count/t²: noise grows in proportion to t.
func (s *points) add(p point) {
	c := float64(p.count)
	s.c += c
	s.cn += c * p.n
	s.cnn += c * p.n * p.n

	w := c / (p.t * p.t)
	s.w += w
	s.n += w * p.n
	s.nn += w * p.n * p.n
	s.t += w * p.t
	s.nt += w * p.n * p.t
}

// line is the best a > 0 and b ≥ 0. Where the slope cannot be known, it is the
// earlier line at the level of the points.
func (s points) line(earlierA, earlierB float64) (a, b float64) {
	det := s.w*s.nn - s.n*s.n
	if s.c*s.cnn-s.cn*s.cn < spread*s.c*s.cnn || det < singular*s.w*s.nn {
		return s.level(earlierA, earlierB)
	}
	b = (s.w*s.nt - s.n*s.t) / det
	a = (s.t - b*s.n) / s.w
	switch {
	case b < 0:
		return s.t / s.w, 0
	case a < floor:
		return floor, max(0, (s.nt-floor*s.n)/s.nn)
	}
	return a, b
}

// level is the multiple of the line a + b·n that is nearest to the points. A line
// of nothing counts as flat.
func (s points) level(a, b float64) (float64, float64) {
	if a <= 0 {
		a, b = floor, 0
	}
	// minimise Σ w·(t − f·(a + b·n))²
	f := (a*s.t + b*s.nt) / (a*a*s.w + 2*a*b*s.n + b*b*s.nn)
	return max(floor, f*a), f * b
}
