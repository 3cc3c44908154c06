package fulcrum

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// Tuner is who decides how many batches may be in flight at a backend.
type Tuner uint8

// The tuners. The zero value is TunerAuto.
const (
	TunerAuto      Tuner = iota // follows the backend: see DESIGN.md
	TunerFixed                  // InFlight stays as configured
	TunerThreshold              // the obvious rule, which fails under load; for comparison
)

// BackendConfig says what several Readers share: a database, and what it can bear.
type BackendConfig struct {
	// Name appears in statistics, hooks and errors. Default "backend".
	Name string
	// Tuner decides K, the batches of normal and bulk requests in flight at once.
	// Default TunerAuto.
	Tuner Tuner
	// MinInFlight and MaxInFlight bound K. Defaults 1 and 64, at most 10,000.
	// MaxInFlight + Reserved connections must be there.
	MinInFlight, MaxInFlight int
	// InFlight is the K of TunerFixed and TunerThreshold. Default 4.
	InFlight int
	// Reserved is how many further slots only urgent requests may take: U. Default 2,
	// -1 none.
	Reserved int
	// MaxBatch is the most keys in a batch; a Reader's own policy may say less. Default
	// 200, at most 100,000.
	MaxBatch int
	// P99 is the response time that 99 of 100 requests should keep. TunerAuto then
	// looks for the most throughput within it. Default 0: none.
	P99 time.Duration
	// FewerQueries has small batches wait for company, where P99 allows.
	FewerQueries bool
	// OnDecision is told when the tuner changes something. Default nil.
	OnDecision func(Decision)
}

// Decision is what a tuner has decided.
type Decision struct {
	Backend  string        // BackendConfig.Name
	At       time.Duration // since the Backend was made
	Name     string        // what it did: double, grow, try, back, shrink, rebase, …
	Reason   string        // why, with the figures
	From     int           // K before
	InFlight int           // K
	MaxBatch int           // keys
	Hold     bool          // small batches wait for company
}

// Backend is one database that several Readers ask. They share its slots, max-min
// fair, and one tuner: several would chase each other's noise.
type Backend struct {
	cfg   BackendConfig
	epoch time.Time // of all its Readers
	slots slots
	holds atomic.Pointer[tune.Decision] // the last one

	mu        sync.Mutex // guards what follows
	tuner     tune.Tuner
	obs       tune.Observation
	looked    time.Duration // when the response times were last read
	recent    *hist.Window  // response times of all Readers; nil if the tuner does not ask for them
	arrived   uint64        // at looked
	decisions map[string]uint64
}

// NewBackend makes a Backend. It starts nothing and asks nothing.
func NewBackend(cfg BackendConfig) (*Backend, error) {
	orDefault(&cfg.Name, "backend")
	orDefault(&cfg.Reserved, defaultReserved)
	if cfg.Reserved < -1 || cfg.Reserved > 10_000 {
		return nil, fmt.Errorf("fulcrum: backend %q: BackendConfig.Reserved: %d is not between -1 and 10000", cfg.Name, cfg.Reserved)
	}
	kinds := map[Tuner]tune.Kind{TunerAuto: tune.Auto, TunerFixed: tune.Fixed, TunerThreshold: tune.Threshold}
	kind, known := kinds[cfg.Tuner]
	if !known {
		return nil, fmt.Errorf("fulcrum: backend %q: BackendConfig.Tuner: %d is no tuner; use TunerAuto, TunerFixed or TunerThreshold", cfg.Name, cfg.Tuner)
	}
	tc := tune.Config{
		Kind: kind, MinInFlight: cfg.MinInFlight, MaxInFlight: cfg.MaxInFlight, InFlight: cfg.InFlight, MaxBatch: cfg.MaxBatch, P99: cfg.P99,
	}
	if cfg.FewerQueries {
		tc.Prefer = tune.PreferCost
	}
	tuner, err := tune.New(tc)
	if err != nil {
		return nil, fmt.Errorf("fulcrum: backend %q: %w", cfg.Name, err)
	}
	b := &Backend{cfg: cfg, epoch: time.Now(), tuner: tuner, decisions: make(map[string]uint64)}
	d := tuner.Decision()
	b.holds.Store(&d)
	if cfg.P99 > 0 || cfg.Tuner == TunerThreshold {
		b.recent = hist.NewWindow(recentSpan, windowParts)
	}
	b.slots.inFlight, b.slots.reserved = d.InFlight, max(0, cfg.Reserved)
	return b, nil
}

// recentSpan is what the tuner takes for the present.
const recentSpan = time.Second

// lookEvery is how often the tuner is told the response times, which costs some
// microseconds.
const lookEvery = 250 * time.Millisecond

// observe tells the tuner of a batch of normal or bulk requests and does what it
// decides.
func (b *Backend) observe(now, left time.Duration, keys, inFlight int, ok bool) {
	p, _, _ := b.slots.counted()
	b.mu.Lock()
	o := &b.obs
	o.Keys, o.Service, o.Left, o.InFlight, o.OK = keys, now-left, left, inFlight, ok
	o.Arrived, o.Blocked, o.Shed = p.arrived, p.blocked, p.missed
	if now-b.looked >= lookEvery {
		b.look(now)
	}
	was := b.holds.Load()
	d, decided := b.tuner.Step(now, o)
	changed := decided && (d.InFlight != was.InFlight || d.MaxBatch != was.MaxBatch || d.Hold != was.Hold)
	if decided {
		b.decisions[d.Name.String()]++
		b.holds.Store(&d)
	}
	if changed && d.InFlight != was.InFlight {
		b.slots.resize(d.InFlight)
	}
	b.mu.Unlock()
	if changed && b.cfg.OnDecision != nil {
		b.cfg.OnDecision(b.public(now, d))
	}
}

// look reads the response times of the shared lanes. The lock is held.
func (b *Backend) look(now time.Duration) {
	if b.recent != nil {
		s := b.recent.Snapshot(now)
		b.obs.P95, b.obs.P99 = s.Quantile(.95), s.Quantile(.99)
	}
	b.obs.Rate = float64(b.obs.Arrived-b.arrived) / (now - b.looked).Seconds()
	b.arrived, b.looked = b.obs.Arrived, now
}

func (b *Backend) public(at time.Duration, d tune.Decision) Decision {
	return Decision{
		Backend: b.cfg.Name, At: at, Name: d.Name.String(), Reason: d.String(),
		From: d.From, InFlight: d.InFlight, MaxBatch: d.MaxBatch, Hold: d.Hold,
	}
}

// BackendStats is how a Backend is used.
type BackendStats struct {
	Name      string
	InFlight  int               // K as it is
	Reserved  int               // U
	MaxBatch  int               // keys
	Hold      bool              // small batches wait for company
	Shared    int               // batches of normal and bulk requests in flight
	Urgent    int               // batches of urgent requests in flight
	Decision  string            // the last, with its figures
	Decisions map[string]uint64 // by name
	Arrived   uint64            // normal and bulk requests
	Blocked   uint64            // of them, those that found no slot free
}

// Stats is a snapshot.
func (b *Backend) Stats() BackendStats {
	p, shared, urgent := b.slots.counted()
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.holds.Load()
	return BackendStats{
		Name: b.cfg.Name, InFlight: d.InFlight, Reserved: max(0, b.cfg.Reserved), MaxBatch: d.MaxBatch, Hold: d.Hold,
		Shared: shared, Urgent: urgent, Decision: d.String(), Decisions: maps.Clone(b.decisions),
		Arrived: p.arrived, Blocked: p.blocked,
	}
}
