package pick

import (
	"math"
	"time"
)

const (
	tau = 5 * time.Second // of the cost's memory

	ejectAfter = 5 // failures in a row
	ejectFor   = 30 * time.Second
	ejectMost  = 5 * time.Minute

	breaches = 3 // looks in a row until a replica counts as lagging

	penalty = 50 // what a failure costs, in times of what the model expects

	// A replica that was behind a write is not asked for such reads for a moment, twice
	// as long the next time.
	behindFor  = time.Millisecond
	behindMost = 100 * time.Millisecond

	// A copy of which nothing is known is tried soon if it is near. What is far has to
	// wait, and less so with time.
	unmeasured = 0.5
	farther    = 8
)

type node struct {
	Node
	cost     float64       // 0: not measured
	at       time.Duration // of the last sample; before it, of its coming
	room     int           // calls that may be in flight; 0: as many as like
	inFlight int
	picked   uint64
	failures uint64
	behinds  uint64

	inRow       int // failures
	ejections   int
	ejected     bool
	until       time.Duration // when the ejection ends
	behindInRow int
	behindUntil time.Duration

	lag      Lag
	lagAt    time.Duration
	lagKnown bool
	level    int
	higher   int // looks in a row that said so
}

// good says whether a replica is, as far as is known, fresh enough.
func (n *node) good(now time.Duration, w Want) bool {
	switch {
	case w.Fresh:
		return false
	case w.After && now < n.behindUntil:
		return false
	case w.Staleness > 0:
		return n.lagKnown && n.lag.Time+(now-n.lagAt) <= w.Staleness
	}
	return true
}

// askable says whether a copy is not ejected. After an ejection one call at a time
// finds out.
func (n *node) askable(now time.Duration) bool {
	return !n.ejected || now >= n.until && n.inFlight == 0
}

func (n *node) reason(why Reason) Reason {
	if n.ejected {
		return Again
	}
	return why
}

func (n *node) near(region string) bool { return region == "" || n.Region == region }

// costAt is the cost with the time that has passed since it was measured.
func (n *node) costAt(now time.Duration) float64 {
	return faded(n.cost, now-n.at)
}

// faded is what is left of a cost after a while.
func faded(cost float64, after time.Duration) float64 {
	return cost * math.Exp(-max(0, after).Seconds()/tau.Seconds())
}

// Begin says that a call to a copy leaves.
func (p *Picker) Begin(i int) {
	p.nodes[i].inFlight++
	p.nodes[i].picked++
}

// Done says what became of a call. The ratio is the time it took to what the model
// expects of a batch of its size, 0 if that is not known.
func (p *Picker) Done(now time.Duration, i int, o Outcome, ratio float64) {
	n := &p.nodes[i]
	ratio /= float64(max(1, n.inFlight))
	n.inFlight--
	switch o {
	case Failed:
		p.fail(now, i)
	case Behind:
		n.behinds++
		n.behindUntil = now + min(behindMost, behindFor<<min(n.behindInRow, 7))
		n.behindInRow++
		n.well(now)
	case OK:
		n.behindInRow = 0
		n.well(now)
		n.sample(now, ratio)
	}
}

// Late says that a call is out for far longer than it should be. That counts as a
// failure; Done follows when it comes back.
func (p *Picker) Late(now time.Duration, i int) { p.fail(now, i) }

// sample takes a ratio into the cost.
func (n *node) sample(now time.Duration, ratio float64) {
	if !(ratio > 0) || math.IsInf(ratio, 0) {
		return
	}
	w := faded(1, now-n.at)
	switch {
	case n.cost == 0 || ratio > n.cost:
		n.cost = ratio
	default:
		n.cost = n.cost*w + ratio*(1-w)
	}
	n.at = now
}

// well says that a copy answers.
func (n *node) well(now time.Duration) {
	n.inRow = 0
	if !n.ejected {
		if n.ejections > 0 && now-n.until > ejectFor<<min(n.ejections, 3) {
			n.ejections = 0 // that was long ago
		}
		return
	}
	n.ejected = false
	n.until, n.cost = now, 0 // what it cost in its trouble says nothing
}

// fail counts a failure and ejects a copy that has too many, unless it is the last.
func (p *Picker) fail(now time.Duration, i int) {
	n := &p.nodes[i]
	n.failures++
	n.inRow++
	n.sample(now, max(penalty, n.cost))
	if n.inRow < ejectAfter && !n.ejected {
		return
	}
	others := 0
	for j := range p.nodes {
		if j != i && !p.nodes[j].ejected {
			others++
		}
	}
	if others == 0 && !n.ejected {
		return
	}
	if n.ejected && now < n.until {
		return // it was counted when it was ejected
	}
	n.ejections++
	n.ejected = true
	n.until = now + min(ejectMost, ejectFor*time.Duration(n.ejections))
}

// Alive says that a copy has answered a question of its shell's own. One that is
// ejected is tried again.
func (p *Picker) Alive(now time.Duration, i int) {
	if n := &p.nodes[i]; n.ejected {
		n.until = min(n.until, now)
	}
}

// Lag tells how far behind a replica is.
func (p *Picker) Lag(now time.Duration, i int, l Lag) {
	n := &p.nodes[i]
	n.lag, n.lagAt, n.lagKnown = l, now, true
	level := p.levelOf(l)
	if level <= n.level {
		n.level, n.higher = level, 0
		return
	}
	if n.higher++; n.higher >= breaches {
		n.level, n.higher = level, 0
	}
}

func (p *Picker) levelOf(l Lag) int {
	for level := range 2 {
		byTime := l.Time <= p.cfg.MaxLag<<level
		byBytes := p.cfg.MaxBytes >= 0 && l.Bytes >= 0 && l.Bytes <= p.cfg.MaxBytes<<level
		if byTime || byBytes {
			return level
		}
	}
	return 2
}
