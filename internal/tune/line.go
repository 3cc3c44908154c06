package tune

import "math"

// line is the baseline T(n) = a + b·n of a quiet backend, in ns. Its level is set by
// the tuner's trials alone; the samples of a window change its shape, the
// proportion of a to b, because under load they say nothing of a quiet backend.
//
// There is one exception: batches of a size far from all that was seen before. The
// line says nothing of them yet, so that what they take is more likely its fault
// than that of a queue.
type line struct {
	a, b  float64
	known bool // the shape was fitted at least once; until then b is 0

	count           float64 // samples behind the sums, fading
	w, x, xx, y, xy float64 // weighted sums over past windows: of 1, n, n², t, n·t
}

const (
	memory   = 0.97 // what a window's weight is worth one window later
	spread   = 0.01 // the least variance of n, as a part of its mean square, for which a slope is fitted
	outlier  = 3    // times the line: such a batch met something else
	doubtful = 0.15 // the largest standard error of the line at which it is believed
	slopeFit = 0.2  // the largest standard error of b·n, as a part of T, at which a slope is believed
)

func (l *line) at(n float64) float64 { return l.a + l.b*n }

// share is u, the keys' own part of T; half while that is not known.
func (l *line) share(n float64) float64 {
	if !l.known {
		return 0.5
	}
	return l.b * n / l.at(n)
}

// scale moves the level by a factor.
func (l *line) scale(f float64) {
	l.a *= f
	l.b *= f
	l.y *= f
	l.xy *= f
}

// learn fits the shape to a window whose mean n was mean and whose median
// inflation was m, after prev in the window before. It returns m by the new line.
func (l *line) learn(w *window, m, mean, prev, sigma float64) float64 {
	isFar := !(l.doubt(mean, sigma) < doubtful)
	by := max(1, m)
	if isFar {
		by = max(1, prev)
	}
	l.add(w, by, m)
	a, b, ok := l.fit(sigma)
	if !ok {
		return m
	}
	l.known = true
	if isFar {
		l.a, l.b = a, b
		m, _ = w.inflation(a, b)
		return m
	}
	f := l.at(mean) / (a + b*mean)
	l.a, l.b = a*f, b*f
	return m
}

// doubt is the standard error of the line at n, as a part of it: large where no
// sizes near n have been seen.
func (l *line) doubt(n, sigma float64) float64 {
	det := l.w*l.xx - l.x*l.x
	return sigma * math.Sqrt((l.xx-2*n*l.x+n*n*l.w)/det) / l.at(n)
}

// add takes the samples of a window in, divided by its inflation.
func (l *line) add(w *window, by, m float64) {
	l.w, l.x, l.xx, l.y, l.xy = memory*l.w, memory*l.x, memory*l.xx, memory*l.y, memory*l.xy
	l.count *= memory
	for _, s := range w.samples[:w.count] {
		expected := l.at(s.n)
		if s.t > outlier*max(1, m)*expected {
			continue
		}
		weight, t := 1/(expected*expected), s.t/by
		l.count++
		l.w += weight
		l.x += weight * s.n
		l.xx += weight * s.n * s.n
		l.y += weight * t
		l.xy += weight * s.n * t
	}
}

// fit is the weighted least-squares line with a, b ≥ 0; false if its slope is too
// uncertain: its variance is σ²/(count·spread of n).
func (l *line) fit(sigma float64) (a, b float64, ok bool) {
	det := l.w*l.xx - l.x*l.x
	if wide := det / (l.w * l.xx); !(wide > spread) || sigma*sigma/(l.count*wide) > slopeFit*slopeFit {
		return 0, 0, false
	}
	b = max(0, (l.w*l.xy-l.x*l.y)/det)
	a = max(0, (l.y-b*l.x)/l.w)
	return a, b, a+b > 0
}
