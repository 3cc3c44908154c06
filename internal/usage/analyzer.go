package usage

import (
	"cmp"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/fulcrum-data/fulcrum/internal/sim"
)

// Config bounds what an Analyzer keeps and says what it takes for granted.
type Config struct {
	// Resolution is that of the records' times, such as a second; 0 means that they
	// are exact.
	Resolution time.Duration
	// Apdex is the time up to which a request satisfies. Default 300 ms.
	Apdex time.Duration
	// Key says what of a path is the key. Default all of it.
	Key KeyTemplate
	// MaxKeys is how many keys, and how many clients, are counted exactly. Default 4
	// million, which take 128 MB.
	MaxKeys int
	// MaxHours is how many hours with traffic are kept second by second. Default
	// 10,000, which take 144 MB.
	MaxHours int
	// ExactReferences is how many requests the miss-ratio curve follows exactly before
	// it samples. Default 1 million, at least 8,000.
	ExactReferences uint64
	// SampledKeys is how many keys it follows then. Default 65,536.
	SampledKeys int
	// Entries are further cache sizes to tell the miss ratio of.
	Entries []uint64
	// Backend is the database that advice is given for. Default one with two cores,
	// 180 µs a query and 4 µs a row.
	Backend sim.Backend
	// Felt is what people were seen to put up with. Default nil: not known.
	Felt *Felt
	// Times is how many times the load advice is given for. Default 1.
	Times float64
}

const leastSampled = 8000 // references: fewer are never sampled

func (c *Config) fill() {
	c.Apdex = cmp.Or(c.Apdex, 300*time.Millisecond)
	c.MaxKeys = cmp.Or(c.MaxKeys, 4_000_000)
	c.MaxHours = cmp.Or(c.MaxHours, 10_000)
	c.ExactReferences = max(leastSampled, cmp.Or(c.ExactReferences, 1_000_000))
	c.SampledKeys = cmp.Or(c.SampledKeys, 1<<16)
	c.Times = cmp.Or(c.Times, 1)
	if c.Backend.PerBatch+c.Backend.PerKey == 0 {
		c.Backend = sim.Backend{PerBatch: 180 * time.Microsecond, PerKey: 4 * time.Microsecond, Cores: 2, Sigma: .25, Crowding: .02}
	}
}

// An Analyzer takes in records and says what they have in common. It is not for
// several goroutines at once.
type Analyzer struct {
	cfg      Config
	requests uint64
	timed    uint64
	times    timeline
	company  company
	sorter   sorter
	past     *spreader // of hours that were folded
	latency  latencies
	patience patience
	clients  *keyset
	keys     *keyset
	runs     runs
	multiKey uint64
	unkeyed  uint64 // paths that do not fit the template
	left     uint64 // callers who did, with or without a duration
	scratch  []byte
}

// New makes an Analyzer.
func New(c Config) *Analyzer {
	c.fill()
	a := &Analyzer{cfg: c, keys: newKeyset(c), clients: newKeyset(c), past: newSpreader()}
	a.clients.follow, a.clients.names = false, nil
	a.times.maxHours = c.MaxHours
	a.latency.threshold = c.Apdex
	a.sorter.out = a.company.add
	if a.coarse() {
		a.times.foldedInto = func(id int64, h *chunk) {
			a.times.secondsOf(id, h, func(at int64, n uint32) { a.past.spread(at, time.Second, n, a.company.add) })
		}
	}
	return a
}

// coarse says whether times are whole seconds: then what is known of a second is how
// many requests it had.
func (a *Analyzer) coarse() bool { return a.cfg.Resolution >= time.Second }

// Add takes in a record.
func (a *Analyzer) Add(r *Record) {
	n := max(1, r.Times)
	a.requests += uint64(n)
	if r.Time != NoTime {
		a.timed += uint64(n)
		a.times.add(r.Time, n)
		if !a.coarse() {
			for range n {
				a.sorter.add(r.Time)
			}
		}
	}
	if r.left() {
		a.left += uint64(n)
	}
	if r.Took >= 0 {
		a.latency.add(r.Took, r.failed(), n)
		a.patience.add(r, n)
	}
	if len(r.Client) > 0 {
		a.clients.add(r.Client, n)
	}
	if len(r.Path) > 0 {
		a.addKey(r, n)
	}
}

func (a *Analyzer) addKey(r *Record, n int) {
	if asksForMany(r.Path) {
		a.multiKey += uint64(n)
	}
	if len(r.Client) > 0 && r.Time != NoTime {
		a.runs.add(xxhash.Sum64(r.Client), r.Path, r.Time)
	}
	key, ok := a.cfg.Key.key(r.Path, a.scratch)
	if !ok {
		a.unkeyed += uint64(n)
		return
	}
	if a.cfg.Key.param != "" {
		a.scratch = key
	}
	if n > 1 {
		a.keys.follow = false // in which order is not known
	}
	a.keys.add(key, n)
}

// SetResolution says what the records' times turned out to be rounded to, if that
// is less than a second.
func (a *Analyzer) SetResolution(d time.Duration) {
	if !a.coarse() && d < time.Second {
		a.cfg.Resolution = d
	}
}
