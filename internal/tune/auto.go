package tune

import (
	"math"
	"time"
)

const (
	level          = 1.10 // the inflation that is held
	tooMuch        = 1.13 // beyond it K shrinks
	stressLevel    = 1.12 // while requests are shed, throughput counts
	stressMost     = 1.35
	judged         = 0.7  // of the K at its begin: then a series of shrinks is judged
	similar        = 1.25 // sizes that the same level can judge while the shape is not known
	cheap          = 0.5  // e up to which more slots help so much that no level need be asked
	jump           = 1.5  // such a step of inflation is news, not noise
	roomy          = 1.05 // inflation at which half as many again may be tried
	rebased        = 1.05 // the inflation that a moved baseline leaves
	worthShrinking = 0.6  // e of a shrink under stress, at least: less costs throughput
	step           = 0.7  // to this part of K at most
	stepUp         = 1.25 // untried growth, at most
	smoothing      = 0.4  // weight of a window's inflation
	binds          = 0.3  // share of arrivals that waited for a slot, or of T that is the keys', from which K is what limits
	busy           = 0.5  // share of K that is in flight as batches leave, from which their size can mean that K limits
	fewest         = 3    // batches that say something
	mostGap        = 64   // windows between two trials, at most
	stressGap      = 8    // the same while requests are shed
	stressCost     = 0.08 // under stress a trial pays if throughput gains so much
	mostE          = 0.25 // the largest e* while calm
	thirdTime      = 3    // trials in a row that must agree before the level is moved up
	backAtMost     = 0.75 // a first failure at a steeper e says that the start was not quiet
)

// auto is the controller described in the package comment.
type auto struct {
	cfg  Config
	now  Decision
	win  window
	line line

	k          int
	maxBatch   int
	keys       float64 // mean n of the window before
	smooth     float64 // inflation at this K, smoothed; 0: not known
	sigma      float64 // spread of ln(T/(a+bn))
	learning   bool    // no window has closed
	slow       bool    // slow start: doubling
	failedOnce bool    // a doubling has failed
	trial      trial
	series     series
	upGap      int  // windows between trials
	upIn       int  // windows until the next one
	stressed   bool // requests were shed in the window before
	lastShed   uint64
	shedAt     time.Duration // when lastShed rose
}

// trial is a change of K that the next window judges.
type trial struct {
	name  Name    // Hold: none
	k     int     // before
	m     float64 // inflation before
	good  int     // ups in a row that paid at an inflation over level
	goodE float64 // the sum of their e
}

// series are shrinks in a row. They are judged together.
type series struct {
	k   int     // 0: none
	m   float64 // inflation as it began
	n   float64 // keys per batch as it began
	bad int     // halvings that did not bring inflation down
}

func newAuto(c Config) *auto {
	return &auto{
		cfg: c, now: started(c, c.MinInFlight), k: c.MinInFlight, maxBatch: c.MaxBatch,
		learning: true, slow: true, upGap: 2, sigma: 0.25, trial: trial{name: Hold},
	}
}

// Decision is the last one.
func (t *auto) Decision() Decision { return t.now }

// Step learns of a batch and decides when a window closes.
func (t *auto) Step(now time.Duration, o *Observation) (Decision, bool) {
	if o.Shed > t.lastShed {
		t.lastShed, t.shedAt = o.Shed, now
	}
	t.win.add(o, t.k)
	if !t.win.closes(now, t.k, t.sigma) {
		return t.now, false
	}
	if t.win.count < fewest {
		t.win.open(now, o)
		return t.now, false
	}
	was := t.k
	why := Why{Stress: t.lastShed > 0 && t.shedAt >= min(t.win.begin, now-stressFor), Batches: t.win.count, MaxBatchWas: t.now.MaxBatch}
	name := t.decide(o, &why)
	if t.cfg.P99 > 0 {
		name = t.fit(o, name, &why)
	}
	t.k = min(max(t.k, t.cfg.MinInFlight), t.cfg.MaxInFlight)
	why.A, why.B = t.line.a, t.line.b
	t.now = Decision{InFlight: t.k, MaxBatch: t.maxBatch, Name: name, From: was, Why: why}
	t.now.Hold = t.cfg.Prefer == PreferCost && !why.Stress && (t.cfg.P99 == 0 || o.P99 < t.cfg.P99*4/5)
	t.win.open(now, o)
	return t.now, true
}

// decide judges the window and sets K.
func (t *auto) decide(o *Observation, why *Why) Name {
	n, mean := t.win.means()
	why.Keys = n
	if t.learning {
		t.learning = false
		t.line.a = mean
	}
	m, sigma := t.win.inflation(t.line.a, t.line.b)
	t.sigma += 0.2 * (sigma - t.sigma)
	before := t.smooth
	if t.trial.name != Hold {
		before = t.trial.m
	}
	m = t.line.learn(&t.win, m, n, before, t.sigma)
	if !t.line.known && before > 0 && (n > similar*t.keys || n < t.keys/similar) {
		t.line.scale(m / before) // nobody knows yet what another size should take
		m = before
	}
	t.keys = n
	if t.k == t.cfg.MinInFlight && t.cfg.MinInFlight == 1 {
		t.line.scale(m) // nobody else was there
		m = 1
	}
	why.M = m
	why.Share = t.line.share(n)
	t.upIn--
	if why.Stress {
		t.upIn = min(t.upIn, stressGap)
		if !t.stressed {
			t.upGap, t.upIn = 2, 0
		}
	}
	defer func() { t.stressed = why.Stress }()
	if name, done := t.judge(m, o, why); done {
		return name
	}
	if m > jump*t.smooth || m < t.smooth/jump { // also where it is not known
		t.smooth = m
	}
	t.smooth += smoothing * (m - t.smooth)
	if t.smooth < 0.97 {
		t.line.scale(t.smooth)
		t.smooth = 1
	}
	return t.next(o, why)
}

// next chooses K by the level of inflation, or tries more.
func (t *auto) next(o *Observation, why *Why) Name {
	k := float64(t.k)
	binding := t.win.blockedShare(o) > binds || t.line.known && why.Share > binds && t.win.meanInFlight() > busy*k
	full := k
	if !binding {
		full = t.win.meanInFlight()
	}
	held, most := level, tooMuch
	if t.wantsThroughput(o, why) {
		held, most = stressLevel, stressMost
	}
	candidate := math.Round(held * full / t.smooth)
	m := t.smooth
	switch {
	case candidate < k && m > most && !(why.Stress && why.Tried && why.E < worthShrinking):
		t.slow = false
		if t.series.k == 0 {
			t.series.k, t.series.m, t.series.n = t.k, m, why.Keys
		}
		return t.change(Shrink, max(1, int(math.Round(max(candidate, step*k)))))
	case !binding:
		return t.change(Hold, t.k)
	case t.slow:
		return t.change(Double, 2*t.k)
	case why.Stress && t.upIn <= 0 && m <= roomy:
		return t.change(Try, t.k+max(1, t.k/2))
	case candidate > k && t.upIn < t.upGap-1:
		return t.change(Grow, int(min(candidate, stepUp*k+1)))
	case t.upIn <= 0:
		return t.change(Try, t.k+max(1, t.k/4))
	}
	return t.change(Hold, t.k)
}

// change sets K and remembers what is to be judged.
func (t *auto) change(name Name, k int) Name {
	k = min(max(k, t.cfg.MinInFlight), t.cfg.MaxInFlight)
	if k == t.k {
		t.trial.name = Hold
		return Hold
	}
	t.trial.name, t.trial.k, t.trial.m = name, t.k, t.smooth
	t.k, t.smooth = k, 0
	return name
}

// judge says what came of the last change. It returns true if that settles this
// window.
func (t *auto) judge(m float64, o *Observation, why *Why) (Name, bool) {
	tr := t.trial
	t.trial.name = Hold
	if tr.name == Hold {
		return Hold, false
	}
	slots := math.Log(float64(t.k) / float64(tr.k))
	e := math.Log(m/tr.m) / slots
	calm := min(mostE, why.Share+(1-why.Share)/float64(2*t.k+1))
	limit := calm
	if t.wantsThroughput(o, why) {
		limit = max(limit, 1-stressCost/math.Abs(slots))
	}
	why.E, why.Limit, why.Tried = e, limit, true
	switch tr.name {
	case Shrink:
		if t.stressed && why.Stress && e < worthShrinking {
			return t.dearShrink(tr), true
		}
		return t.judgeShrink(m, calm, why.Keys)
	case Double, Try:
		if why.Stress && e <= cheap {
			return t.growOn(m), true
		}
		failed := e > limit
		if tr.name == Try {
			failed = e > limit+0.1 || e > limit && m <= level
		}
		if !failed {
			return t.paid(tr, m, e, calm)
		}
		return t.failed(tr, e)
	}
	why.Tried = false // growth up to the level is not judged
	return Hold, false
}

func (t *auto) judgeShrink(m, limit, n float64) (Name, bool) {
	s := &t.series
	if m <= tooMuch {
		*s = series{}
		return Hold, false
	}
	if float64(t.k) > judged*float64(s.k) && t.k > t.cfg.MinInFlight || s.k == 0 || s.k == t.k {
		return Hold, false
	}
	e := math.Log(m/s.m) / math.Log(float64(t.k)/float64(s.k))
	other := n > 2*s.n || n < s.n/2 // batches of another size tell another story, unless it is the same
	if e >= limit || other && e > limit/2 {
		*s = series{k: t.k, m: m, n: n}
		return Hold, false
	}
	t.k, t.smooth = s.k, s.m
	bad := s.bad + 1
	*s = series{bad: bad}
	if bad < 2 {
		return Back, true
	}
	t.line.scale(m)
	t.smooth = 0
	s.bad = 0
	return Rebase, true
}

// growOn follows up a trial that paid well while requests were shed.
func (t *auto) growOn(m float64) Name {
	t.smooth = m
	t.upGap, t.upIn = 2, 0
	t.trial.good, t.trial.goodE = 0, 0
	if t.slow {
		return t.change(Double, 2*t.k)
	}
	return t.change(Try, t.k+max(1, t.k/2))
}

// dearShrink undoes a shrink that cost throughput while requests were shed. The
// second time it is the baseline that is wrong.
func (t *auto) dearShrink(tr trial) Name {
	t.back(tr)
	bad := t.series.bad + 1
	t.series = series{bad: bad}
	if bad < 2 {
		return Back
	}
	t.series.bad = 0
	t.line.scale(tr.m / rebased)
	t.smooth = rebased
	return Rebase
}

// failed undoes a trial.
func (t *auto) failed(tr trial, e float64) (Name, bool) {
	if t.slow && !t.failedOnce && e < backAtMost {
		t.failedOnce = true
		return t.back(tr), true
	}
	t.slow = false
	t.trial.good = 0
	t.upGap = min(2*t.upGap, mostGap)
	t.upIn = t.upGap
	return t.back(tr), true
}

func (t *auto) back(tr trial) Name {
	t.k, t.smooth = tr.k, tr.m
	return Back
}

// paid keeps what a trial gained.
func (t *auto) paid(tr trial, m, e, limit float64) (Name, bool) {
	if tr.name == Double || e > limit+0.1 { // it pays under stress only, and moves no baseline
		return Hold, false
	}
	t.upGap, t.upIn = 2, 1
	if m <= level {
		t.trial.good, t.trial.goodE = 0, 0
		return Hold, false
	}
	t.trial.good++
	t.trial.goodE += e
	if t.trial.good < thirdTime {
		return t.back(tr), true
	}
	mean := t.trial.goodE / thirdTime
	t.trial.good, t.trial.goodE = 0, 0
	if mean > limit-0.05 {
		return t.back(tr), true
	}
	t.line.scale(m / rebased)
	t.smooth = rebased
	return Hold, false
}
