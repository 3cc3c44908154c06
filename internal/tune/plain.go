package tune

import "time"

// fixed never changes anything.
type fixed struct{ now Decision }

func newFixed(c Config) *fixed {
	return &fixed{started(c, c.InFlight)}
}

// started is the decision before anything was observed.
func started(c Config, k int) Decision {
	return Decision{InFlight: k, MaxBatch: c.MaxBatch, From: k, Why: Why{MaxBatchWas: c.MaxBatch}}
}

// Step decides nothing.
func (f *fixed) Step(time.Duration, *Observation) (Decision, bool) { return f.now, false }

// Decision is where it started.
func (f *fixed) Decision() Decision { return f.now }

// threshold is the obvious rule: slow, so shrink the batch; idle, so let it grow.
type threshold struct {
	cfg  Config
	now  Decision
	next time.Duration // when to look again
}

const (
	thresholdEvery  = 200 * time.Millisecond
	thresholdP95    = 200 * time.Millisecond
	thresholdRate   = 1000 // requests per second
	thresholdShrink = 0.7
	thresholdGrow   = 1.5
)

func newThreshold(c Config) *threshold {
	return &threshold{cfg: c, now: started(c, c.InFlight)}
}

// Step looks five times a second.
func (t *threshold) Step(now time.Duration, o *Observation) (Decision, bool) {
	if now < t.next || o.P95 == 0 {
		return t.now, false
	}
	t.next = now + thresholdEvery
	was := t.now.MaxBatch
	t.now.Name = Hold
	switch {
	case o.P95 > thresholdP95:
		t.now.MaxBatch = max(1, int(float64(was)*thresholdShrink))
		t.now.Name = SmallerBatch
	case o.Rate < thresholdRate && was < t.cfg.MaxBatch:
		t.now.MaxBatch = min(t.cfg.MaxBatch, int(float64(was)*thresholdGrow)+1)
		t.now.Name = LargerBatch
	}
	t.now.Why = Why{P95: o.P95, Rate: o.Rate, MaxBatchWas: was}
	return t.now, true
}

// Decision is the last one.
func (t *threshold) Decision() Decision { return t.now }
