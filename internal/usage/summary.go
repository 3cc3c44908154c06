package usage

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// topKeys is how many keys a report names.
const topKeys = 20

// Report tells what is known so far. More records may follow.
func (a *Analyzer) Report() *Report {
	r := &Report{felt: a.cfg.Felt, Requests: a.requests, Advice: []Advice{}, NotAdvised: []Advice{}, Notes: []string{}}
	company := a.arrivals()
	a.tellTimes(r, company)
	if q := a.latency.quantiles(.5, .95, .99); a.latency.n > 0 {
		r.Latency = Latency{a.latency.n, q[0], q[1], q[2]}
	}
	r.Apdex = Apdex{a.cfg.Apdex.Seconds(), a.latency.apdex()}
	r.Patience = a.patience.estimate()
	if a.left > 0 && a.latency.n == 0 {
		r.note("%d callers left before their answer, but no durations are known: add them to the log to learn how long they waited", a.left)
	}
	r.NPlusOne = a.runs.estimate()
	r.MultiKey = MultiKey{a.multiKey, float64(a.multiKey) / math.Max(1, float64(a.requests))}
	if n := a.clients.count(); n > 0 {
		r.Clients.Distinct = &n
	}
	a.tellKeys(r)
	a.advise(r, company)
	return r
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// arrivals are all that came, in order.
func (a *Analyzer) arrivals() *company {
	c := a.company.clone()
	if a.coarse() {
		s := *newSpreader()
		a.times.eachSecond(func(at int64, n uint32) { s.spread(at, time.Second, n, c.add) })
	} else {
		held := slices.Clone(a.sorter.held)
		slices.Sort(held)
		for _, at := range held {
			c.add(at)
		}
	}
	c.minute.close()
	return c
}

func (a *Analyzer) tellTimes(r *Report, c *company) {
	r.Together = []Together{}
	if a.timed == 0 {
		r.note("the records have no times: nothing is said about peaks, bursts and company")
		return
	}
	shape := a.times.shape()
	rate := func(i int) *float64 { return new(float64(shape.most[i]) / float64(windows[i])) }
	r.Seconds = new(float64(shape.seconds))
	r.Peak = Peak{rate(0), rate(1), rate(2)}
	r.Burst = Burst{Dispersion1: shape.dispersion[0], Dispersion10: shape.dispersion[1], Dispersion60: shape.dispersion[2]}
	if a.cfg.Resolution > 0 {
		r.Resolution = new(a.cfg.Resolution.Seconds())
	}
	if cv, ok := c.gaps.variation(); ok && c.gaps.mean >= 10*float64(a.cfg.Resolution) {
		r.Burst.CV = &cv
	}
	if a.coarse() {
		r.note("times are whole seconds: nothing is said about what happens within one")
	}
	if a.times.late > 0 {
		r.note("%d requests came out of order by more than %d hours and are missing from peaks and bursts", a.times.late, a.cfg.MaxHours)
	}
	r.Together = append(r.Together, c.told(a.cfg.Resolution)...)
	r.Shape = weekly(shape)
}

// weekly is nil for less than an hour, which has no shape.
func weekly(s shape) *Shape {
	if s.seconds < 3600 {
		return nil
	}
	all := 0.0
	for _, n := range s.hourly {
		all += float64(n)
	}
	w := new(Shape)
	for i, n := range s.hourly {
		w.Hours[i%24] += float64(n) / all
		w.Days[i/24] += float64(n) / all
	}
	return w
}

func (a *Analyzer) tellKeys(r *Report) {
	r.MissRatioCurve, r.Keys.Top = []MissRatio{}, []KeyCount{}
	if a.unkeyed > 0 {
		r.note("%d requests have no key by the template", a.unkeyed)
	}
	k := a.keys
	if k.total == 0 {
		return
	}
	counts := k.counts()
	h := k.heat(counts)
	r.Keys.Distinct, r.Keys.OneHit, r.Keys.Cover80 = k.count(), &h.oneHit, &h.cover80
	r.Keys.Sampled, r.Keys.Top = k.rate < 1, k.top(topKeys)
	r.Keys.tellSkew(counts, k.rate < 1)
	if k.follow && k.stack.refs > 0 {
		r.MissRatioCurve = k.curve(a.cfg.Entries)
	}
}

// tellSkew prefers the law over all keys, where one fits.
func (k *Keys) tellSkew(counts []uint32, sampled bool) {
	if !sampled {
		if all, ok := fitSkew(counts); ok && all.Fits {
			k.ZipfS, k.ZipfLow, k.ZipfHigh, k.Misfit = &all.S, &all.Low, &all.High, &all.Misfit
			k.ZipfOf, k.ZipfFit = "all keys", "zipf"
			return
		}
	}
	if s, misfit, ok := headSkew(counts); ok {
		k.ZipfS, k.Misfit, k.ZipfOf = &s, &misfit, "head"
		k.ZipfFit = "not zipf"
		if misfit <= headMisfit {
			k.ZipfFit = "zipf"
		}
	}
}

// headMisfit is the largest difference of cumulated shares that still is Zipf's law
// for those who size a cache by it.
const headMisfit = .03

// shares are the sizes of caches in the curve, as shares of all keys.
var shares = [...]float64{.001, .002, .005, .01, .02, .05, .1, .15, .2, .3, .4, .5, .6, .8, 1}

// curve tells the miss ratio at round shares of all keys, and at further sizes.
func (k *keyset) curve(further []uint64) []MissRatio {
	sizes := slices.Clone(further)
	for _, s := range shares {
		if n := uint64(s * float64(k.count())); n > 0 {
			sizes = append(sizes, n)
		}
	}
	slices.Sort(sizes)
	all := []MissRatio{}
	for _, n := range slices.Compact(sizes) {
		all = append(all, MissRatio{n, k.stack.missRatio(float64(n), float64(k.count()))})
	}
	return all
}
