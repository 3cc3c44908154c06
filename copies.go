package fulcrum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/pick"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// Copy is one of several databases that hold the same data. Fetch and One learn from
// CopyFrom which of them to ask.
type Copy struct {
	// Name tells it from the others. Required.
	Name string
	// Region is where it is, for Choice.Region. Default: nowhere.
	Region string
	// Primary says that it takes the writes, and cannot lag. Default: it is a replica.
	Primary bool
	// Check says how far a replica lags, or that it does not answer. Backend.Watch asks five
	// times a second, for at most a second. Default: it has everything as soon as the
	// primary has.
	Check func(ctx context.Context) (Lag, error)
}

// Lag is how far a replica is behind its primary.
type Lag struct {
	Time  time.Duration // so old is its newest data at most; 0 if it has all there is
	Bytes int64         // of the log that it has not applied; -1 unknown
}

// Choice is how a read chooses among a Backend's Copies.
type Choice struct {
	// Region is where the Backend's Readers are: copies there are asked first while nothing
	// is known of the others. Default: nowhere.
	Region string
	// MaxLag and MaxLagBytes are what a replica may lag: it is behind if it is so in both.
	// Defaults 1 s and 1 MiB; MaxLagBytes -1 has only the time count.
	MaxLag      time.Duration
	MaxLagBytes int64
	// PrimaryShare is the part of the reads that the primary takes while all replicas are
	// further behind than twice that. Default 0.1, at most 1.
	PrimaryShare float64
	// ReadPrimary has the primary be asked like the others. Default: only where no replica
	// is good enough.
	ReadPrimary bool
	// Hedge is the part of the batches that may be sent once more, to another copy, when
	// they take longer than 95 of 100 of their class. Default 0: none. At most 0.1.
	Hedge float64
	// Vet says whether a token of After can be one of these databases: a token of another
	// one, or of the future, is an error for its request alone. Default: all can.
	Vet func(ctx context.Context, t Token) error
}

// ErrBehind is what Fetch and One return if the copy that they asked has not seen a write
// of AfterFrom. The primary is asked then.
var ErrBehind = errors.New("fulcrum: this copy has not seen the write yet")

// CopyFrom is the Copy.Name that a call of Fetch or One is for; empty if the Backend has no
// Copies, and for writes.
func CopyFrom(ctx context.Context) string { return requestFrom(ctx).copy }

// AfterFrom are the tokens of After that a call of Fetch or One has to come behind. The
// slice must not be changed.
func AfterFrom(ctx context.Context) []Token { return requestFrom(ctx).after }

// need is what callers ask of the copy that answers them.
type need struct {
	after     []Token
	fresh     bool
	staleness time.Duration // 0: any
	past      bool          // no cache may answer
}

func (r *request) need() *need {
	past := len(r.after) > 0 || r.fresh || r.maxAge > 0
	if !past && !r.primary && r.lag == 0 {
		return nil
	}
	return &need{r.after, r.fresh || r.primary, lesser(r.maxAge, r.lag), past}
}

// and is what both ask. Either may be nil.
func (n *need) and(m *need) *need {
	switch {
	case n == nil:
		return m
	case m == nil:
		return n
	}
	both := need{fresh: n.fresh || m.fresh, staleness: lesser(n.staleness, m.staleness), past: n.past || m.past}
	both.after = append(append(both.after, n.after...), m.after...)
	return &both
}

// want is how a choice is asked for.
func (n *need) want() pick.Want {
	if n == nil {
		return pick.Want{}
	}
	return pick.Want{Fresh: n.fresh, After: len(n.after) > 0, Staleness: n.staleness}
}

// copies are the databases of a Backend: who is asked, and what became of it.
type copies struct {
	choice Choice

	mu     sync.Mutex // guards what follows; it comes after Backend.mu
	picker *pick.Picker
	all    []*copyOf // as the picker has them
	budget float64   // of hedges
	hedges HedgeStats
	ratios [3]*hist.Window // by lane: how long calls took to what was expected, in thousandths
	usual  [3]float64      // 95 of 100 of them are below; 0: too few are known
	looked time.Duration   // when usual was
}

// copyOf is one of them.
type copyOf struct {
	name    string
	primary bool

	tuner tune.Tuner // guarded by Backend.mu, as obs is
	obs   tune.Observation

	check    func(context.Context) (Lag, error) // guarded by copies.mu, as what follows
	at       int                                // in copies.all; -1 if it is not there any more
	checking bool                               // Check is being asked
}

// The ratios are kept for a while, so that the slow ones are told from the usual.
const (
	ratioSpan  = 10 * time.Second
	ratioParts = 5
	ratioUnit  = time.Millisecond // is a ratio of 1

	minRatios  = 200                    // calls, for a 95th percentile
	ratioEvery = 100 * time.Millisecond // usual is looked at anew
)

func newCopies(cfg *BackendConfig) (*copies, error) {
	ch := cfg.Choice
	if !(ch.Hedge >= 0 && ch.Hedge <= 0.1) {
		return nil, fmt.Errorf("Choice.Hedge: %v is not between 0 and 0.1", ch.Hedge)
	}
	c := &copies{choice: ch}
	for i := range c.ratios {
		c.ratios[i] = hist.NewWindow(ratioSpan, ratioParts)
	}
	nodes, err := nodesOf(cfg.Copies)
	if err != nil {
		return nil, err
	}
	c.picker, err = pick.New(pick.Config{
		Region: ch.Region, MaxLag: ch.MaxLag, MaxBytes: ch.MaxLagBytes, Share: ch.PrimaryShare, Primaries: ch.ReadPrimary,
		Seed: uint64(time.Now().UnixNano()),
	}, nodes)
	if err != nil {
		return nil, fmt.Errorf("Choice: %w", err)
	}
	return c, c.adopt(cfg, cfg.Copies)
}

func nodesOf(all []Copy) ([]pick.Node, error) {
	nodes := make([]pick.Node, len(all))
	primaries := 0
	for i, c := range all {
		if c.Name == "" {
			return nil, fmt.Errorf("Copies: number %d has no name", i+1)
		}
		if c.Primary {
			primaries++
		}
		nodes[i] = pick.Node{Name: c.Name, Region: c.Region, Primary: c.Primary}
	}
	if primaries > 1 {
		return nil, fmt.Errorf("Copies: %d are called primary; one at most takes the writes", primaries)
	}
	return nodes, nil
}

// adopt takes over the copies that the picker has; those that stay keep their tuners.
func (c *copies) adopt(cfg *BackendConfig, all []Copy) error {
	next := make([]*copyOf, len(all))
	for i, made := range all {
		for _, was := range c.all {
			if was.name == made.Name && was.primary == made.Primary {
				next[i] = was
			}
		}
		if next[i] == nil {
			tuner, err := tune.New(cfg.tuning())
			if err != nil {
				return err
			}
			next[i] = &copyOf{name: made.Name, primary: made.Primary, tuner: tuner}
		}
	}
	for _, was := range c.all {
		was.at = -1
	}
	for i, cp := range next {
		cp.check, cp.at = all[i].Check, i
	}
	c.all = next
	return nil
}

// SetCopies changes the databases of a Backend that has several, while requests run. What
// is known of one stays with its name. An error changes nothing.
func (b *Backend) SetCopies(all []Copy) error {
	c := b.copies
	if c == nil {
		return fmt.Errorf("fulcrum: backend %q: SetCopies: it was made without Copies", b.cfg.Name)
	}
	nodes, err := nodesOf(all)
	if err != nil {
		return fmt.Errorf("fulcrum: backend %q: %w", b.cfg.Name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	if err = c.picker.SetNodes(b.now(), nodes); err == nil {
		err = c.adopt(&b.cfg, all)
	}
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("fulcrum: backend %q: SetCopies: %w", b.cfg.Name, err)
	}
	b.settle(b.stance.Load().Decision, b.stance.Load().mode)
	return nil
}

// choose names the copy for a call and counts it as out there; tried are those that are no
// good. Nil: there is none.
func (c *copies) choose(now time.Duration, w pick.Want, tried []*attempt) (cp *copyOf, inFlight int, why pick.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range tried {
		if t.copy.at >= 0 {
			w.Tried = w.Tried.With(t.copy.at)
		}
	}
	if w.Idle {
		if c.budget < 1 {
			return nil, 0, 0
		}
	} else if len(tried) == 0 {
		c.budget = min(maxBudget, c.budget+c.choice.Hedge)
	}
	choice, ok := c.picker.Pick(now, w)
	if !ok {
		return nil, 0, 0
	}
	if w.Idle {
		c.budget--
		c.hedges.Sent++
	}
	c.picker.Begin(choice.Node)
	return c.all[choice.Node], c.picker.InFlight(choice.Node), choice.Reason
}

// maxBudget is how many hedges may go in a row.
const maxBudget = 10

// count is how many there are.
func (c *copies) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// end says what became of a call: whether the copy may be asked has changed, and whether it
// is much slower than another one.
func (c *copies) end(now time.Duration, cp *copyOf, o pick.Outcome, ratio float64, lane int) (changed, slow bool) {
	if o == pick.OK && ratio > 0 {
		c.ratios[lane].Record(now, time.Duration(ratio*float64(ratioUnit)))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cp.at < 0 {
		return false, false
	}
	able, was := c.picker.Able(cp.at), c.picker.Slow(now, cp.at)
	c.picker.Done(now, cp.at, o, ratio)
	slow = c.picker.Slow(now, cp.at)
	return able != c.picker.Able(cp.at) || slow != was, slow
}

// HedgeStats are batches that were sent once more because they were slow.
type HedgeStats struct {
	Sent uint64
	Won  uint64 // of them, those that were answered first
}

// late says that a call is out for far too long.
func (c *copies) late(now time.Duration, cp *copyOf) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cp.at < 0 {
		return false
	}
	was := c.picker.Able(cp.at)
	c.picker.Late(now, cp.at)
	return was != c.picker.Able(cp.at)
}

// hedgeAfter is after how long a call is sent once more; 0: never.
func (c *copies) hedgeAfter(now, expected time.Duration, lane int) time.Duration {
	if c.choice.Hedge == 0 || expected == 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now-c.looked >= ratioEvery || c.looked == 0 {
		c.looked = now
		for i, w := range c.ratios {
			c.usual[i] = 0
			if s := w.Snapshot(now); s.Count() >= minRatios {
				c.usual[i] = float64(s.Quantile(.95)) / float64(ratioUnit)
			}
		}
	}
	return time.Duration(c.usual[lane] * float64(expected))
}

// won counts a hedge that was answered first.
func (c *copies) won() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hedges.Won++
}

// slots is K: what the copies that may be asked can bear together. Each is told its part.
// The Backend's lock is held.
func (c *copies) slots(now time.Duration, reserved int) (d tune.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.Hold = true
	for i, cp := range c.all {
		own := cp.tuner.Decision()
		c.picker.SetRoom(i, own.InFlight+reserved)
		if !c.serves(now, i) {
			continue
		}
		d.InFlight += own.InFlight
		d.MaxBatch = max(d.MaxBatch, own.MaxBatch)
		d.Hold = d.Hold && own.Hold
	}
	if d.InFlight == 0 { // nobody may be asked; whoever is asked nevertheless is one
		own := c.all[0].tuner.Decision()
		d.InFlight, d.MaxBatch, d.Hold = own.InFlight, own.MaxBatch, own.Hold
	}
	return d
}

// serves says whether plain reads go to a copy, by and large. What one can bear that is
// slow would only have batches leave that wait for it.
func (c *copies) serves(now time.Duration, i int) bool {
	if !c.picker.Able(i) || c.picker.Slow(now, i) {
		return false
	}
	if !c.all[i].primary || c.choice.ReadPrimary {
		return true
	}
	for j, other := range c.all {
		if !other.primary && c.picker.Able(j) {
			return false
		}
	}
	return true
}
