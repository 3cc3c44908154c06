package usage

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/sim"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// What an advice must be worth to be given.
const (
	leastBatch    = 1.3 // rows per query at the peak
	leastHits     = .10 // share of requests that a cache answers
	leastUse      = .05 // use of the database in the busiest minute, with a query for each request
	busyReplica   = .7  // use of the database at the peak, with what is advised before
	leastRequests = 1000
	leastLeft     = 20  // callers who left
	largestBatch  = 200 // keys, the default of a policy
	slots         = 4   // batches in flight, the default of a policy
)

// advise looks at the busiest minute first: where the database is idle, nothing is
// worth its trouble.
func (a *Analyzer) advise(r *Report, c *company) {
	if a.requests < leastRequests {
		r.note("fewer than %d requests: no advice", leastRequests)
		return
	}
	plain, known := a.simulate(c, 0)
	idle := ""
	if known && plain.plain < leastUse {
		idle = fmt.Sprintf("not needed: a query for each request keeps a database with %d cores %.2g %% busy in the busiest minute", a.cfg.Backend.Cores, 100*plain.plain)
	}
	hits := r.adviseCache(idle)
	if known {
		a.adviseLoad(r, c, hits, idle)
	}
	r.adviseSLO()
}

func (r *Report) advised(setting, value, evidence, gain string) {
	r.Advice = append(r.Advice, Advice{setting, value, evidence, gain})
}

func (r *Report) notAdvised(setting, evidence, gain string) {
	r.NotAdvised = append(r.NotAdvised, Advice{setting, "", evidence, gain})
}

// adviseCache chooses the cache at the knee of the miss-ratio curve, and returns the
// share of requests it would answer.
func (r *Report) adviseCache(idle string) (hits float64) {
	knee, ok := kneeOf(r.MissRatioCurve)
	if !ok {
		return 0
	}
	hits = 1 - knee.Ratio
	evidence := fmt.Sprintf("%d keys; an LRU cache of %d entries misses %.1f %%", r.Keys.Distinct, knee.Entries, 100*knee.Ratio)
	gain := fmt.Sprintf("%.0f %% fewer queries, if nothing is written and nothing expires", 100*hits)
	switch {
	case hits < leastHits:
		r.notAdvised("cache", evidence, "no gain: keys are seldom asked for twice")
	case idle != "":
		r.notAdvised("cache", evidence, idle)
	default:
		r.advised("cache.entries", fmt.Sprint(knee.Entries), evidence, gain)
		return hits
	}
	return 0
}

// kneeOf is where the curve is farthest below the line from no cache to one for all
// keys: beyond, an entry is worth less than the average one.
func kneeOf(curve []MissRatio) (knee MissRatio, ok bool) {
	if len(curve) == 0 {
		return knee, false
	}
	last := curve[len(curve)-1]
	best := 0.0
	for _, m := range curve {
		line := 1 - (1-last.Ratio)*float64(m.Entries)/float64(last.Entries)
		if d := line - m.Ratio; d > best {
			best, knee, ok = d, m, true
		}
	}
	if !ok {
		return last, true
	}
	return knee, ok
}

// peakLoad is what the simulator says of the busiest minute.
type peakLoad struct {
	rate     float64 // requests per second
	batch    float64 // rows per query
	response time.Duration
	plain    float64 // use of the database with a query for each request
	full     float64 // use with batches as large as they may become
}

// simulate replays the busiest minute, of which a cache answers a share at random.
func (a *Analyzer) simulate(c *company, hits float64) (p peakLoad, ok bool) {
	arrivals := c.minute.best
	if len(arrivals) < 2 || arrivals[len(arrivals)-1] == arrivals[0] {
		return p, false
	}
	var trace []time.Duration
	due := 0.0
	for _, at := range arrivals {
		if due += 1 - hits; due >= 1 {
			due--
			trace = append(trace, time.Duration(float64(at-arrivals[0])/a.cfg.Times))
		}
	}
	if len(trace) < 2 {
		return p, false
	}
	span := time.Duration(float64(arrivals[len(arrivals)-1]-arrivals[0])/a.cfg.Times) + 1
	tuner, err := tune.New(tune.Config{Kind: tune.Fixed, InFlight: slots, MaxBatch: largestBatch})
	if err != nil {
		return p, false
	}
	b := a.cfg.Backend
	// A trace has no queue at its begin, so all of it counts.
	res := sim.Run(sim.Setup{
		Backend: b, Load: sim.Load{Trace: trace}, Tuner: tuner, Seed: 1, To: span + time.Second,
		Cost: dispatch.Cost{A: b.PerBatch + b.RoundTrip, B: b.PerKey},
	})
	if res.Good == 0 {
		return p, false
	}
	p.rate = float64(len(trace)) / span.Seconds()
	p.batch, p.response = res.KeysPerBatch(), res.Response.Quantile(.95)
	p.plain = p.rate * float64(b.PerBatch+b.PerKey) / 1e9 / float64(b.Cores)
	p.full = p.rate / b.Capacity(largestBatch)
	return p, true
}

// adviseLoad says what sharing queries and replicas would gain at the peak.
func (a *Analyzer) adviseLoad(r *Report, c *company, hits float64, idle string) {
	p, ok := a.simulate(c, hits)
	if !ok {
		return
	}
	behind := ""
	if hits > 0 {
		behind = " behind the cache"
	}
	evidence := fmt.Sprintf("the busiest minute has %s requests/s%s; replayed, %.3g share a query", rounded(p.rate), behind, p.batch)
	switch {
	case idle != "":
		r.notAdvised("batching", evidence, idle)
		return
	case p.batch >= leastBatch:
		r.advised("policy.mode", "balanced", evidence, fmt.Sprintf("%.2g rows per query at the peak: %.0f %% fewer queries, p95 %s", p.batch, 100*(1-1/p.batch), p.response.Round(10*time.Microsecond)))
		r.advised("policy.max_batch", fmt.Sprint(maxBatchFor(p.batch)), "the simulator's batches have room in it", "a bound for the largest query")
	default:
		r.notAdvised("batching", evidence, "no gain: requests come alone")
	}
	evidence = fmt.Sprintf("in the busiest minute a database with %d cores is %s %% busy with full batches, %s %% with a query for each request", a.cfg.Backend.Cores, rounded(100*p.full), rounded(100*p.plain))
	if p.full <= busyReplica {
		r.notAdvised("replicas", evidence, "no gain yet")
		return
	}
	n := int(math.Ceil(p.full / busyReplica))
	r.advised("replicas", fmt.Sprint(n-1), evidence, fmt.Sprintf("%.0f %% busy each, the primary included", 100*p.full/float64(n)))
}

// maxBatchFor leaves room above the mean batch of the peak minute, in round numbers.
func maxBatchFor(mean float64) int {
	for _, n := range []int{20, 50, 100} {
		if 8*mean <= float64(n) {
			return n
		}
	}
	return largestBatch
}

// Felt is what people were seen to put up with.
type Felt struct {
	Answer   float64 // seconds that an answer may take before fewer do what a page is for
	Evidence string  // how that is known
}

// Feel says what people were seen to put up with; nil if that is not known.
func (a *Analyzer) Feel(f *Felt) { a.cfg.Felt = f }

// patience is how long an answer may take until 5 % have left, as the log says it.
func (r *Report) patience() (limit float64, evidence, gain string) {
	p := r.Patience
	if p == nil || p.Abandoned < leastLeft || p.Wait5 == nil {
		return math.Inf(1), "", ""
	}
	limit = *p.Wait5
	if p.Wait5Low != nil {
		limit = *p.Wait5Low
	}
	return limit, fmt.Sprintf("%d of %d left; 5 %% are gone after %.3g s", p.Abandoned, p.Requests, *p.Wait5), "at most 5 % of those who wait longest leave"
}

// adviseSLO asks to answer before 5 % have left, or before fewer do what a page is for,
// whichever is sooner.
func (r *Report) adviseSLO() {
	limit, evidence, gain := r.patience()
	if f := r.felt; f != nil && f.Answer < limit {
		limit, evidence, gain = f.Answer, f.Evidence, "as many as of those who wait least, if it is the waiting (an association)"
	}
	if math.IsInf(limit, 1) {
		return
	}
	if r.Latency.P99 != nil && *r.Latency.P99 <= limit {
		r.notAdvised("slo", evidence, fmt.Sprintf("kept already: the p99 is %.3g s", *r.Latency.P99))
		return
	}
	r.advised("slo.p99", fmt.Sprintf("%.3gs", limit), evidence, gain)
}

// rounded has three digits, or all before the point.
func rounded(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// built are the settings that a configuration may hold; the others are told as
// comments.
var built = map[string]bool{"cache.entries": true, "policy.mode": true, "policy.max_batch": true}

// Fragment is the advice as a part of fulcrum.yaml, each line with its evidence and
// predicted gain. What `fulcrum serve` does not know yet stands as a comment.
func Fragment(r *Report) string {
	var b strings.Builder
	if len(r.Advice) == 0 {
		b.WriteString("# Nothing to change: nothing that was looked at is worth it.\n")
	}
	section := ""
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "# %s\n# → %s\n", a.Evidence, a.Gain)
		parent, name, nested := strings.Cut(a.Setting, ".")
		switch {
		case !built[a.Setting] && nested:
			fmt.Fprintf(&b, "# %s: {%s: %s}\n", parent, name, a.Value)
		case !built[a.Setting]:
			fmt.Fprintf(&b, "# %s: %s\n", a.Setting, a.Value)
		case section != parent:
			section = parent
			fmt.Fprintf(&b, "%s:\n  %s: %s\n", parent, name, a.Value)
		default:
			fmt.Fprintf(&b, "  %s: %s\n", name, a.Value)
		}
	}
	for _, a := range r.NotAdvised {
		fmt.Fprintf(&b, "# %s: %s; %s\n", a.Setting, a.Gain, a.Evidence)
	}
	return b.String()
}
