package usage

import (
	"bytes"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

const z95 = 1.959963984540054 // of 95 % confidence

// patience is how long people wait before they leave. Who got an answer would have
// waited at least as long: that is a censored observation, and the curve is that of
// Kaplan and Meier. Programs have time limits, not patience: cancellations that pile
// up at a whole second, and those of bots, are set aside.
type patience struct {
	leaving, served tally // by µs
	left, answered  uint64
	bots            uint64
	exposure        float64 // s that people waited, those who left included
	known           map[uint64]bool
}

func (p *patience) add(r *Record, times int) {
	if len(r.Agent) > 0 && p.isBot(r.Agent) {
		p.bots += uint64(times)
		return
	}
	p.exposure += r.Took.Seconds() * float64(times)
	us := float64(r.Took) / 1e3
	if r.left() {
		p.left += uint64(times)
		p.leaving.add(us, float64(times))
		return
	}
	p.answered += uint64(times)
	p.served.add(us, float64(times))
}

var botWords = [][]byte{[]byte("bot"), []byte("crawl"), []byte("spider"), []byte("slurp"), []byte("monitor"), []byte("healthcheck"), []byte("kube-probe"), []byte("pingdom")}

const maxAgents = 10_000

// isBot says whether an agent calls itself one.
func (p *patience) isBot(agent []byte) bool {
	hash := xxhash.Sum64(agent)
	bot, seen := p.known[hash]
	if !seen {
		lower := bytes.ToLower(agent)
		bot = slices.ContainsFunc(botWords, func(w []byte) bool { return bytes.Contains(lower, w) })
		if p.known == nil || len(p.known) >= maxAgents {
			p.known = map[uint64]bool{}
		}
		p.known[hash] = bot
	}
	return bot
}

// A piece is a step of the curve: what happened after so many µs.
type piece struct{ at, leaving, censored float64 }

// pieces are the steps of the curve, rising, with time-outs censored.
func (p *patience) pieces() (all []piece, timeouts float64) {
	for i := range max(len(p.leaving.weight), len(p.served.weight)) {
		var q piece
		if i < len(p.leaving.weight) {
			q.leaving = p.leaving.weight[i]
		}
		if i < len(p.served.weight) {
			q.censored = p.served.weight[i]
		}
		if q.leaving+q.censored > 0 {
			low, high := stepRange(i)
			q.at = (low + high - 1) / 2
			all = append(all, q)
		}
	}
	for i, q := range all {
		if q.leaving > 0 && p.atom(q.at) {
			timeouts += q.leaving
			all[i].leaving, all[i].censored = 0, q.censored+q.leaving
		}
	}
	return all, timeouts
}

const (
	atomBefore, atomAfter = 3e3, 30e3 // µs around a whole second that time limits end in
	leastAtom             = 5
)

// atom says whether a cancellation at µs is one of many at a whole second: at least
// five, and five times as many as the time around would have.
func (p *patience) atom(us float64) bool {
	whole := math.Round(us/1e6) * 1e6
	if whole == 0 || us < whole-atomBefore-whole/1000 || us > whole+atomAfter+whole/1000 {
		return false
	}
	between := func(a, b float64) float64 { return p.leaving.upTo(b) - p.leaving.upTo(a) }
	before, after := atomBefore+whole/1000, atomAfter+whole/1000
	here := between(whole-before, whole+after)
	around := between(whole-.4e6, whole+.4e6) - here
	return here >= leastAtom && here > 5*around*(before+after)/(.8e6-before-after)
}

// estimate is the curve and what follows from it; nil if nobody left.
func (p *patience) estimate() *Patience {
	if p.left+p.answered == 0 {
		return nil
	}
	pieces, timeouts := p.pieces()
	e := &Patience{Survival: []Survivors{}, Requests: p.left + p.answered, Abandoned: p.left - uint64(timeouts), Timeouts: uint64(timeouts), Bots: p.bots}
	if e.Abandoned == 0 {
		return e
	}
	e.curve(pieces)
	events := float64(e.Abandoned)
	if p.exposure > 0 {
		rate := events / p.exposure
		factor := math.Exp(z95 / math.Sqrt(events))
		e.Hazard = &Interval{rate, rate / factor, rate * factor}
	}
	return e
}

// curve follows the survivors, with Greenwood's variance and log-log intervals.
func (e *Patience) curve(pieces []piece) {
	risk, survival, variance := float64(e.Requests), 1.0, 0.0
	var at, low, high *float64
	reached := func(s, us float64, into **float64) {
		if *into == nil && s <= .95 {
			*into = new(us / 1e6)
		}
	}
	next := 1.0
	for _, q := range pieces {
		if q.leaving > 0 {
			survival *= 1 - q.leaving/risk
			if risk > q.leaving {
				variance += q.leaving / (risk * (risk - q.leaving))
			}
			l, h := band(survival, variance)
			reached(survival, q.at, &at)
			reached(l, q.at, &low)
			reached(h, q.at, &high)
			if survival <= next-.01 || len(e.Survival) == 0 {
				e.Survival = append(e.Survival, Survivors{time.Duration(q.at * 1e3).Seconds(), survival, l, h})
				next = survival
			}
		}
		risk -= q.leaving + q.censored
	}
	e.Wait5, e.Wait5Low, e.Wait5High = at, low, high
}

func band(s, variance float64) (low, high float64) {
	if s <= 0 || s >= 1 {
		return s, s
	}
	w := z95 * math.Sqrt(variance) / -math.Log(s)
	return math.Pow(s, math.Exp(w)), math.Pow(s, math.Exp(-w))
}
