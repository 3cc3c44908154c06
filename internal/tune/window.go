package tune

import (
	"math"
	"slices"
	"time"
)

const (
	windowLeast   = 20 * time.Millisecond // the shortest window
	windowMost    = time.Second           // the longest
	windowSamples = 512                   // batches that settle any question
	kept          = 1024                  // batches remembered of a window
	settled       = 0.07                  // the standard error of the median that is aimed at
	medianError   = 1.25                  // standard error of a median, in σ/√n
	stressFor     = 100 * time.Millisecond
)

// sample is one batch of the window.
type sample struct{ n, t float64 } // keys, ns

// window gathers what happened since the last decision.
type window struct {
	begin    time.Duration
	samples  [kept]sample
	ratios   [kept]float64 // T/(a+bn), sorted when the window closes
	count    int           // samples that count: sent in this window, within K
	batches  int           // all that finished
	inFlight float64       // sum over all of them

	arrived, blocked uint64 // the counters as the window began
}

// open begins anew.
func (w *window) open(now time.Duration, o *Observation) {
	w.begin, w.count, w.batches, w.inFlight = now, 0, 0, 0
	w.arrived, w.blocked = o.Arrived, o.Blocked
}

// add takes a batch in. It counts if it was sent under the K that is judged.
func (w *window) add(o *Observation, k int) {
	w.batches++
	w.inFlight += float64(o.InFlight)
	if !o.OK || o.Left < w.begin || o.InFlight > k || o.Keys < 1 || o.Service <= 0 || w.count == kept {
		return
	}
	w.samples[w.count] = sample{float64(o.Keys), float64(o.Service)}
	w.count++
}

// closes says whether enough is known: the median of the inflation to settled, or
// a second has passed.
func (w *window) closes(now time.Duration, k int, sigma float64) bool {
	age := now - w.begin
	if age < windowLeast {
		return false
	}
	s := medianError * sigma / settled
	enough := max(8, 4*k, int(min(windowSamples, s*s)))
	return w.count >= min(enough, kept) || age >= windowMost
}

// meanInFlight is what batches met as they left, themselves included.
func (w *window) meanInFlight() float64 {
	return w.inFlight / float64(max(1, w.batches))
}

// blockedShare is the part of arrivals that found no free slot.
func (w *window) blockedShare(o *Observation) float64 {
	if o.Arrived <= w.arrived {
		return 0
	}
	return float64(o.Blocked-w.blocked) / float64(o.Arrived-w.arrived)
}

// inflation sorts T/(a+bn) and returns its median and the spread σ of its
// logarithm, from the quartiles: ln(q75/q25) = 1.35·σ for lognormal noise.
func (w *window) inflation(a, b float64) (m, sigma float64) {
	r := w.ratios[:w.count]
	for i, s := range w.samples[:w.count] {
		r[i] = s.t / (a + b*s.n)
	}
	slices.Sort(r)
	return quantile(r, 0.5), math.Log(quantile(r, 0.75)/quantile(r, 0.25)) / quartiles
}

// quartiles is how far they lie apart in a normal distribution, in σ.
const quartiles = 1.35

// quantile of sorted values, between neighbours.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// means of the samples: keys and T.
func (w *window) means() (n, t float64) {
	for _, s := range w.samples[:w.count] {
		n += s.n
		t += s.t
	}
	c := float64(max(1, w.count))
	return n / c, t / c
}
