package hist

import (
	"math"
	"sync/atomic"
	"time"
)

// Histogram counts durations. The zero value is empty and ready for use, by any
// number of goroutines at once: nothing in it ever waits. It must not be copied
// after first use.
//
// An empty one takes 0.4 KiB, and 1 KiB more for every octave that is used.
type Histogram struct {
	_     [64]byte // recording mostly reads these fields: keep them off lines that neighbours write
	max   atomic.Int64
	slack atomic.Int64 // MaxInt64 − the smallest value, so that 0 means none yet and both extremes only rise
	pages [octaves]atomic.Pointer[page]
	_     [64]byte
}

// page holds the counts of one octave. They only ever rise.
type page [perOctave]atomic.Uint64

// New makes an empty histogram.
func New() *Histogram { return new(Histogram) }

// Record counts d once.
func (h *Histogram) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN counts d n times, as cheaply as once.
func (h *Histogram) RecordN(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	d = max(d, 0)
	raise(&h.max, int64(d)) // before the count: whoever sees the count sees its extremes
	raise(&h.slack, math.MaxInt64-int64(d))
	i := index(d)
	p := h.pages[i>>precision].Load()
	if p == nil {
		p = h.grow(i >> precision)
	}
	p[i%perOctave].Add(n)
}

// grow makes the page of an octave that was empty, unless another goroutine was
// faster.
func (h *Histogram) grow(octave int) *page {
	h.pages[octave].CompareAndSwap(nil, new(page))
	return h.pages[octave].Load()
}

// raise sets x to v if that is more.
func raise(x *atomic.Int64, v int64) {
	for old := x.Load(); v > old; old = x.Load() {
		if x.CompareAndSwap(old, v) {
			return
		}
	}
}

// Snapshot is the histogram as it is now. What is recorded meanwhile may be in it
// or not, value by value; of two snapshots the later one has every bucket at
// least as full.
func (h *Histogram) Snapshot() Snapshot {
	var t tally
	t.add(h)
	return t.snapshot()
}

// tally adds histograms up, on the stack.
type tally struct {
	counts  [buckets]uint64
	max     int64
	slack   int64
	touched bool
}

func (t *tally) add(h *Histogram) {
	for o := range h.pages {
		p := h.pages[o].Load()
		if p == nil {
			continue
		}
		t.touched = true
		counts := (*[perOctave]uint64)(t.counts[o<<precision:])
		for i := range p {
			counts[i] += p[i].Load()
		}
	}
	t.max = max(t.max, h.max.Load()) // after the counts, see RecordN
	t.slack = max(t.slack, h.slack.Load())
}

func (t *tally) snapshot() Snapshot {
	if !t.touched {
		return Snapshot{}
	}
	return compact(0, t.counts[:], time.Duration(math.MaxInt64-t.slack), time.Duration(t.max))
}
