package model

import (
	"math"
	"time"
)

const (
	horizon = 10 * time.Second // what is older is not believed
	trusted = 20               // samples within the horizon that make a model trusted
	sizes   = 21               // buckets by size; the last one holds all from 2^20 items on
	floor   = 1                // ns, the least a
)

// Model learns T(n) = a + b·n from one backend's batches. The zero value knows
// nothing and is ready for use. It takes 34 KiB and is for one goroutine at a time:
// the caller locks. Times are passed in, as durations since any fixed moment.
type Model struct {
	bySize [sizes]bucket
	recent [trusted]time.Duration // when the last samples came, a ring
	seen   int                    // samples ever
	now    time.Duration          // when the last one came

	a, b  float64 // the fit, ns; before the first, a = b = 0
	stale bool    // there are samples that the fit does not know
}

// New makes a model that knows nothing.
func New() *Model { return new(Model) }

// Observe learns that a batch of n items was answered after t, at the time now.
// Only batches that succeeded should be told: an error says nothing about the cost.
// An n or t of 0 or less is ignored. Times that run backwards count as the latest.
func (m *Model) Observe(now time.Duration, n int, t time.Duration) {
	if n <= 0 || t <= 0 {
		return
	}
	m.now = max(m.now, now)
	m.recent[m.seen%trusted] = m.now
	m.seen++
	m.bySize[size(n)].add(sample{at: m.now, t: t, n: n})
	m.stale = true
}

// Fit is a and b, both in ns. It reports false, and 0 and 0, before the first
// sample. What is older than 10 s at the latest sample does not count; a model
// that is told nothing more keeps its last answer.
//
// The work is done at the first call after Observe, well under a microsecond for
// every size that was observed meanwhile.
func (m *Model) Fit() (a, b float64, ok bool) {
	if m.stale {
		m.a, m.b = m.points().line(m.a, m.b)
		m.stale = false
	}
	return m.a, m.b, m.seen > 0
}

// Predict is T(n), what a batch of n items takes on a quiet backend; 0 before the
// first sample. An n below 1 counts as 1.
func (m *Model) Predict(n int) time.Duration {
	a, b, _ := m.Fit()
	t := a + b*float64(max(n, 1))
	if t >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(t)
}

// Trusted reports whether the model rests on enough to refuse work by it: at
// least 20 samples from the 10 s before now.
func (m *Model) Trusted(now time.Duration) bool {
	return m.seen >= trusted && m.recent[m.seen%trusted] >= now-horizon
}

// points are those of all sizes with samples within the horizon.
func (m *Model) points() points {
	var s points
	for i := range m.bySize {
		if p := m.bySize[i].since(m.now - horizon); p.count > 0 {
			s.add(p)
		}
	}
	return s
}
