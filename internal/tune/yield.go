package tune

import (
	"fmt"
	"time"
)

// Yield has the shared lanes give up slots while urgent requests miss their target
// beside them: reserved slots help little where the database itself is full. It cuts
// quickly and gives back slowly. It is pure like a Tuner.
type Yield struct {
	target  time.Duration
	most    int // slots that the shared lanes may take; 0: no bound
	stepped time.Duration
	quiet   time.Duration // since when the target was kept
}

const (
	yieldEvery   = 250 * time.Millisecond
	yieldSamples = 20
	yieldCut     = 0.7
	yieldCalm    = 0.7         // of the target, below which slots are given back
	yieldRest    = time.Second // below it, before the first is
)

// NewYield makes one that keeps the 99th percentile of urgent responses under target.
func NewYield(target time.Duration) *Yield { return &Yield{target: target} }

// Most is how many slots the shared lanes may take; 0 means no bound.
func (y *Yield) Most() int { return y.most }

// Step learns of the last second of urgent requests beside inFlight shared slots, of
// which the tuner would have k. It returns true, and why, if the bound has changed.
func (y *Yield) Step(now, p99 time.Duration, samples, inFlight, k int) (reason string, changed bool) {
	if now-y.stepped < yieldEvery {
		return "", false
	}
	y.stepped = now
	missed := samples >= yieldSamples && p99 > y.target
	if samples >= yieldSamples && float64(p99) > yieldCalm*float64(y.target) {
		y.quiet = now
	}
	have := k
	if y.most > 0 {
		have = min(k, y.most)
	}
	switch {
	case missed && inFlight > 0 && have > 1:
		y.most = max(1, int(yieldCut*float64(have)))
		return fmt.Sprintf("urgent p99 %s (n=%d) is over %s: K %d→%d", p99, samples, y.target, have, y.most), true
	case y.most > 0 && now-y.quiet >= yieldRest:
		next := y.most + max(1, y.most/4)
		reason = fmt.Sprintf("urgent requests keep %s: K %d→%d", y.target, have, min(next, k))
		if y.most = next; y.most >= k {
			y.most = 0
		}
		return reason, true
	}
	return "", false
}
