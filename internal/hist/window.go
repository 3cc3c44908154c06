package hist

import (
	"sync"
	"sync/atomic"
	"time"
)

// Window is a histogram of the recent past only. It is a ring of parts, each for
// one slice of time; as time moves on, the oldest part is replaced.
//
//	       ├── 0 ──┼── 1 ──┼── 2 ──┼── 3 ──┼── 4 ──┼── 5 ─  ticks of span/parts
//	parts          │               └─ Snapshot(now), parts = 3 ┘▲ now
//
// So a snapshot covers the last span, less up to one part that has only begun:
// 10 s in 10 parts is the last 9 to 10 s.
//
// The time is passed in, as a duration since any fixed moment, and must come from
// a monotonic clock. All methods may be called at once from many goroutines;
// Record waits for nobody, but for the first value of a part. Times may arrive out of order: a value goes where its time
// belongs, or nowhere if that part has been replaced.
//
// An unused window takes 8 bytes for every part. A part is made at its first
// value: 0.4 KiB and 1 KiB for every octave of values, so 10 parts with
// latencies between 1 and 32 ms take 60 KiB. What replaced parts counted is kept in
// one sum of 40 KiB, for Total.
type Window struct {
	width time.Duration // of a part
	ring  []atomic.Pointer[part]

	mu      sync.Mutex // held while a part is replaced and while totals are read
	retired *tally     // of all parts that were replaced
}

// part is the histogram of one tick. It belongs to that tick for good: whoever
// still writes to one that has been replaced does no harm.
type part struct {
	tick int64 // time / width
	Histogram
}

// NewWindow makes an empty window over span, in the given number of parts. More
// parts follow time more smoothly and take more memory; 10 is a good number. A
// span or number that is too small counts as the smallest one possible: one
// part, of 1 ns.
func NewWindow(span time.Duration, parts int) *Window {
	parts = max(parts, 1)
	return &Window{width: max(span/time.Duration(parts), 1), ring: make([]atomic.Pointer[part], parts)}
}

// Span is the time that the window covers: the span it was made with, rounded
// down to a whole number of ns for every part.
func (w *Window) Span() time.Duration { return w.width * time.Duration(len(w.ring)) }

// Record counts d once, as of the time now.
func (w *Window) Record(now, d time.Duration) { w.RecordN(now, d, 1) }

// RecordN counts d n times, as of the time now.
func (w *Window) RecordN(now, d time.Duration, n uint64) {
	if p := w.part(int64(max(now, 0) / w.width)); p != nil {
		p.RecordN(d, n)
	}
}

// part is the part of a tick, or nil if the tick is too long ago.
func (w *Window) part(tick int64) *part {
	slot := &w.ring[tick%int64(len(w.ring))]
	for {
		p := slot.Load()
		switch {
		case p != nil && p.tick == tick:
			return p
		case p != nil && p.tick > tick:
			return nil
		}
		w.replace(slot, p, tick)
	}
}

// replace puts a new part into a slot and keeps what the old one counted. If
// another goroutine was faster, it does nothing.
func (w *Window) replace(slot *atomic.Pointer[part], old *part, tick int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slot.Load() != old {
		return
	}
	if old != nil {
		if w.retired == nil {
			w.retired = new(tally)
		}
		w.retired.add(&old.Histogram)
	}
	slot.Store(&part{tick: tick})
}

// Total is what was recorded since the beginning. Its count never falls. A value
// that was being recorded while its part was replaced, a whole span after its
// time, may be missing.
func (w *Window) Total() Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	var t tally
	if w.retired != nil {
		t = *w.retired
	}
	for i := range w.ring {
		if p := w.ring[i].Load(); p != nil {
			t.add(&p.Histogram)
		}
	}
	return t.snapshot()
}

// Snapshot is what was recorded in the window that ends now.
func (w *Window) Snapshot(now time.Duration) Snapshot {
	tick := int64(max(now, 0) / w.width)
	var t tally
	for i := range w.ring {
		if p := w.ring[i].Load(); p != nil && p.tick <= tick && p.tick > tick-int64(len(w.ring)) {
			t.add(&p.Histogram)
		}
	}
	return t.snapshot()
}
