package pick

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Picker chooses among copies. It is for one goroutine at a time.
type Picker struct {
	cfg   Config
	nodes []node
	rng   *rand.Rand
	owed  float64 // of the primary's share
}

// New makes a Picker of up to MaxNodes copies with different names.
func New(cfg Config, nodes []Node) (*Picker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Picker{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15))}
	if err := p.SetNodes(0, nodes); err != nil {
		return nil, err
	}
	return p, nil
}

// SetNodes changes the copies. What is known of one stays with its name, unless it
// became the primary or ceased to be it.
func (p *Picker) SetNodes(now time.Duration, nodes []Node) error {
	if len(nodes) == 0 || len(nodes) > MaxNodes {
		return fmt.Errorf("pick: %d copies are not between 1 and %d", len(nodes), MaxNodes)
	}
	was := make(map[string]node, len(p.nodes))
	for _, n := range p.nodes {
		was[n.Name] = n
	}
	next := make([]node, len(nodes))
	seen := make(map[string]bool, len(nodes))
	for i, n := range nodes {
		if seen[n.Name] {
			return fmt.Errorf("pick: two copies are called %q", n.Name)
		}
		seen[n.Name] = true
		if old, ok := was[n.Name]; ok && old.Primary == n.Primary {
			next[i] = old
		} else {
			next[i].at = now
		}
		next[i].Node = n
	}
	p.nodes = next
	return nil
}

// SetRoom says how many calls a copy can bear at once: no hedge goes there beyond. 0 is no
// bound.
func (p *Picker) SetRoom(i, calls int) { p.nodes[i].room = calls }

// Pick chooses a copy for a read. False: none of those that were not tried is good for
// it.
func (p *Picker) Pick(now time.Duration, w Want) (Choice, bool) {
	c, ok := p.pick(now, w)
	if ok && w.Idle && p.nodes[c.Node].Primary && !p.cfg.Primaries { // it has better to do
		return Choice{}, false
	}
	return c, ok
}

func (p *Picker) pick(now time.Duration, w Want) (Choice, bool) {
	if w.Fresh || w.After || w.Staleness > 0 {
		return p.strict(now, w)
	}
	replicas, primaries := p.able(now, w, false)
	if p.cfg.Primaries {
		replicas |= primaries
	}
	fresh, twice := p.upTo(replicas, 0), p.upTo(replicas, 1)
	back := p.ejected(replicas)
	switch {
	case back != 0 && !w.Idle: // one call finds out
		return p.best(now, back, Again), true
	case fresh != 0:
		return p.best(now, fresh, Faster), true
	case twice != 0:
		return p.best(now, twice, Lagging), true
	case replicas != 0 && primaries != 0 && p.owes():
		return p.best(now, primaries, Share), true
	case replicas != 0:
		return p.best(now, replicas, Stale), true
	case primaries != 0:
		return p.best(now, primaries, NoReplica), true
	}
	return p.anybody(now, w)
}

// strict chooses for a read that not every copy is good for.
func (p *Picker) strict(now time.Duration, w Want) (Choice, bool) {
	replicas, primaries := p.able(now, w, false)
	good := Set(0)
	for i := range p.nodes {
		if replicas.Has(i) && p.nodes[i].good(now, w) {
			good = good.With(i)
		}
	}
	if p.cfg.Primaries {
		good |= primaries
	}
	switch {
	case good != 0:
		return p.best(now, good, Faster), true
	case primaries != 0:
		return p.best(now, primaries, TooOld), true
	}
	if _, primaries = p.able(now, w, true); primaries != 0 {
		return p.best(now, primaries, Again), true
	}
	if p.headless() {
		return p.Pick(now, Want{Tried: w.Tried, Idle: w.Idle})
	}
	return Choice{}, false
}

// headless says that none of the copies is the primary: they are all alike.
func (p *Picker) headless() bool {
	for i := range p.nodes {
		if p.nodes[i].Primary {
			return false
		}
	}
	return true
}

// anybody chooses among those that are ejected, since all are.
func (p *Picker) anybody(now time.Duration, w Want) (Choice, bool) {
	if w.Idle {
		return Choice{}, false
	}
	replicas, primaries := p.able(now, w, true)
	if all := replicas | primaries; all != 0 {
		return p.best(now, all, Again), true
	}
	return Choice{}, false
}

// owes says whether it is the primary's turn to take its share.
func (p *Picker) owes() bool {
	p.owed += p.cfg.Share
	if p.owed < 1 {
		return false
	}
	p.owed--
	return true
}

// able are the copies that may be asked now: not ejected, unless that does not matter, and
// for a hedge with room.
func (p *Picker) able(now time.Duration, w Want, ejected bool) (replicas, primaries Set) {
	for i := range p.nodes {
		n := &p.nodes[i]
		switch {
		case w.Tried.Has(i), !ejected && !n.askable(now), w.Idle && n.room > 0 && n.inFlight >= n.room:
		case n.Primary:
			primaries = primaries.With(i)
		default:
			replicas = replicas.With(i)
		}
	}
	return replicas, primaries
}

// upTo are those of a set whose lag is of at most this level.
func (p *Picker) upTo(s Set, level int) (within Set) {
	for i := range p.nodes {
		if s.Has(i) && (p.nodes[i].Primary || p.nodes[i].level <= level) {
			within = within.With(i)
		}
	}
	return within
}

// ejected are those of a set that were ejected, and are to be tried again.
func (p *Picker) ejected(s Set) (back Set) {
	for i := range p.nodes {
		if s.Has(i) && p.nodes[i].ejected {
			back = back.With(i)
		}
	}
	return back
}

// best is the better of two that chance names.
func (p *Picker) best(now time.Duration, s Set, why Reason) Choice {
	n := s.Len()
	a := p.nth(s, p.rng.IntN(n))
	if n == 1 {
		if why == Faster {
			why = Only
		}
		return Choice{a, p.nodes[a].reason(why)}
	}
	b := p.nth(s&^Set(0).With(a), p.rng.IntN(n-1))
	if p.load(now, b) < p.load(now, a) {
		a, b = b, a
	}
	if why == Faster && p.nodes[a].cost == 0 && p.nodes[a].near(p.cfg.Region) && !p.nodes[b].near(p.cfg.Region) {
		why = Region
	}
	return Choice{a, p.nodes[a].reason(why)}
}

// nth is the n-th of a set.
func (p *Picker) nth(s Set, n int) int {
	for i := range p.nodes {
		if s.Has(i) {
			if n == 0 {
				return i
			}
			n--
		}
	}
	panic("pick: a set has fewer copies than it says")
}

// load is what one more call costs at a copy.
func (p *Picker) load(now time.Duration, i int) float64 {
	n := &p.nodes[i]
	cost := n.costAt(now)
	if n.cost == 0 {
		cost = unmeasured
		if !n.near(p.cfg.Region) {
			cost = faded(farther, now-n.at)
		}
	}
	return cost * float64(n.inFlight+1)
}

// Stats tells what is known of each copy.
func (p *Picker) Stats(now time.Duration) []NodeStats {
	all := make([]NodeStats, len(p.nodes))
	for i := range p.nodes {
		n := &p.nodes[i]
		all[i] = NodeStats{
			Node: n.Node, Cost: n.costAt(now), InFlight: n.inFlight, Picked: n.picked, Failures: n.failures, Behind: n.behinds,
			Lag: n.lag, LagAge: max(0, now-n.lagAt), LagKnown: n.lagKnown, Level: n.level,
		}
		if n.ejected {
			all[i].Ejected = max(n.until, 1)
		}
	}
	return all
}

// InFlight is how many calls are out at a copy.
func (p *Picker) InFlight(i int) int { return p.nodes[i].inFlight }

// outlying is from how many times the cost of the best copy on one is slow.
const outlying = 4

// Slow says whether a copy is much slower than another one that can be asked.
func (p *Picker) Slow(now time.Duration, i int) bool {
	cost := p.nodes[i].costAt(now)
	for j := range p.nodes {
		n := &p.nodes[j]
		other := n.costAt(now)
		if n.cost == 0 {
			other = unmeasured
		}
		if j != i && !n.ejected && cost > outlying*other {
			return true
		}
	}
	return false
}

// Able says whether a copy is not ejected.
func (p *Picker) Able(i int) bool { return !p.nodes[i].ejected }

// Len is how many copies there are.
func (p *Picker) Len() int { return len(p.nodes) }
