package fulcrum

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/mode"
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
	// Name appears in statistics, events and errors. Default "backend".
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
	// UrgentP99 is the same for urgent requests. While they miss it, K is cut. Default
	// 0: none.
	UrgentP99 time.Duration
	// FewerQueries has small batches wait for company, where P99 allows.
	FewerQueries bool

	// Mode is what is aimed at. Default ModeBalanced: under stress the Backend chooses.
	// It holds for Readers whose own policy is balanced.
	Mode Mode
	// SlowAt is the response time (95th percentile) from which on its cause decides the
	// mode. Default 500 ms, between 1 ms and 1 h.
	SlowAt time.Duration
	// CallTimeout is how long a call may be out before the circuit counts it as failed;
	// the call goes on. Default 2 s, between 1 ms and 1 h.
	CallTimeout time.Duration
	// NoCircuit has the backend asked whatever fails. Default false.
	NoCircuit bool

	// Copies are the databases that its Readers' Fetch and One can ask. Each has a K of
	// its own. Default: there is one database, of which nothing has to be said.
	Copies []Copy
	// Choice is how a read chooses among the Copies.
	Choice Choice

	// OnDecision is told when the tuner changes something. Like OnEvent it runs on the
	// goroutine of a request and should return quickly. Default nil.
	OnDecision func(Decision)
	// OnEvent is told when the mode, the circuit, what is shed or K's bound changes.
	// Default nil.
	OnEvent func(Event)
}

// Decision is what a tuner has decided.
type Decision struct {
	Backend  string        // BackendConfig.Name
	Copy     string        // Copy.Name, of whose K it is; empty if there are none
	At       time.Duration // since the Backend was made
	Name     string        // what it did: double, grow, try, back, shrink, rebase, …
	Reason   string        // why, with the figures
	From     int           // K before
	InFlight int           // K
	MaxBatch int           // keys
	Hold     bool          // small batches wait for company
}

// Backend is one database that several Readers ask. They share its slots, max-min
// fair, one tuner (several would chase each other's noise), one mode and one circuit.
type Backend struct {
	cfg    BackendConfig
	epoch  time.Time // of all its Readers
	stance atomic.Pointer[stance]
	nextAt atomic.Int64 // when somebody should step, in ns since the epoch
	_      [64]byte     // every request reads what is above: not on a cache line that batches write
	slots  slots
	copies *copies // nil: there is one database

	answered                           atomic.Uint64 // normal and bulk requests
	response, queue, service, urgently *hist.Window  // of the last second, each batch's oldest request for all of it; the last one of urgent ones

	mu        sync.Mutex // guards what follows
	tuner     tune.Tuner
	obs       tune.Observation
	modes     *mode.Switch
	yield     *tune.Yield // nil without a target for urgent requests
	looked    time.Duration
	arrived   uint64 // at looked
	done      uint64 // answered at looked
	decisions map[string]uint64
	events    map[string]uint64 // by kind, from and to
}

// stance is what holds at a backend by the decisions of its tuner and its modes.
type stance struct {
	tune.Decision
	k    int // InFlight, or less to protect urgent requests
	hold bool
	mode mode.Decision
}

// NewBackend makes a Backend. It starts nothing and asks nothing.
func NewBackend(cfg BackendConfig) (*Backend, error) {
	orDefault(&cfg.Name, "backend")
	orDefault(&cfg.Reserved, defaultReserved)
	orDefault(&cfg.CallTimeout, defaultCallTimeout)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Backend{cfg: cfg, epoch: time.Now(), decisions: make(map[string]uint64), events: make(map[string]uint64)}
	var err error
	if b.tuner, err = tune.New(cfg.tuning()); err != nil {
		return nil, fmt.Errorf("fulcrum: backend %q: %w", cfg.Name, err)
	}
	if b.modes, err = mode.New(mode.Config{Mode: modes[cfg.Mode], Threshold: cfg.SlowAt}); err != nil {
		return nil, fmt.Errorf("fulcrum: backend %q: BackendConfig.SlowAt: %w", cfg.Name, err)
	}
	if cfg.UrgentP99 > 0 {
		b.yield = tune.NewYield(cfg.UrgentP99)
	}
	for _, w := range []**hist.Window{&b.response, &b.queue, &b.service, &b.urgently} {
		*w = hist.NewWindow(recentSpan, recentParts)
	}
	b.slots.reserved = max(0, cfg.Reserved)
	if len(cfg.Copies) > 0 {
		if b.copies, err = newCopies(&b.cfg); err != nil {
			return nil, fmt.Errorf("fulcrum: backend %q: BackendConfig.%w", cfg.Name, err)
		}
	}
	b.settle(b.tuner.Decision(), b.modes.Decision())
	return b, nil
}

func (c BackendConfig) validate() error {
	wrong := func(field, text string, args ...any) error {
		return fmt.Errorf("fulcrum: backend %q: BackendConfig.%s: %s", c.Name, field, fmt.Sprintf(text, args...))
	}
	switch {
	case c.Reserved < -1 || c.Reserved > 10_000:
		return wrong("Reserved", "%d is not between -1 and 10000", c.Reserved)
	case int(c.Tuner) >= len(tuners):
		return wrong("Tuner", "%d is no tuner; use TunerAuto, TunerFixed or TunerThreshold", c.Tuner)
	case int(c.Mode) >= len(modes):
		return wrong("Mode", "%d is no mode; use ModeBalanced, ModeLatency or ModeThroughput", c.Mode)
	case c.CallTimeout < time.Millisecond || c.CallTimeout > time.Hour:
		return wrong("CallTimeout", "%s is not between 1ms and 1h", c.CallTimeout)
	case c.UrgentP99 < 0:
		return wrong("UrgentP99", "%s is negative", c.UrgentP99)
	}
	return nil
}

func (c BackendConfig) tuning() tune.Config {
	tc := tune.Config{
		Kind: tuners[c.Tuner], MinInFlight: c.MinInFlight, MaxInFlight: c.MaxInFlight, InFlight: c.InFlight, MaxBatch: c.MaxBatch, P99: c.P99,
	}
	if c.FewerQueries {
		tc.Prefer = tune.PreferCost
	}
	return tc
}

// The kinds of tuners and the modes, as those who decide know them.
var (
	tuners = [...]tune.Kind{TunerAuto: tune.Auto, TunerFixed: tune.Fixed, TunerThreshold: tune.Threshold}
	modes  = [...]mode.Mode{ModeBalanced: mode.Balanced, ModeLatency: mode.Latency, ModeThroughput: mode.Throughput}
)

const (
	defaultCallTimeout = 2 * time.Second

	// recentSpan is what tuner and modes take for the present.
	recentSpan  = time.Second
	recentParts = 4
)

// settle makes what was decided hold. The lock is held, or nobody else is there yet.
func (b *Backend) settle(d tune.Decision, m mode.Decision) {
	if b.copies != nil {
		all := b.copies.slots(b.now(), max(0, b.cfg.Reserved))
		d.InFlight, d.MaxBatch, d.Hold = all.InFlight, all.MaxBatch, all.Hold
	}
	s := &stance{Decision: d, k: d.InFlight, mode: m}
	if b.yield != nil && b.yield.Most() > 0 {
		s.k = min(s.k, b.yield.Most())
	}
	s.hold = m.Mode == mode.Throughput || m.Mode != mode.Latency && d.Hold
	was := b.stance.Load()
	b.stance.Store(s)
	if was == nil || was.k != s.k {
		b.slots.resize(s.k)
	}
}

// observe tells the tuner, that of the copy if there is one, of a batch of normal or bulk
// requests and does what it decides.
func (b *Backend) observe(cp *copyOf, now, left time.Duration, keys, inFlight int, ok bool) {
	p, _, _ := b.slots.counted()
	b.mu.Lock()
	tuner, o, name := b.tuner, &b.obs, ""
	if cp != nil {
		tuner, o, name = cp.tuner, &cp.obs, cp.name
		o.P95, o.P99, o.Rate = b.obs.P95, b.obs.P99, b.obs.Rate
	}
	o.Keys, o.Service, o.Left, o.InFlight, o.OK = keys, now-left, left, inFlight, ok
	o.Arrived, o.Blocked, o.Shed = p.arrived, p.blocked, p.missed
	was := b.stance.Load()
	before := tuner.Decision()
	d, decided := tuner.Step(now, o)
	changed := decided && (d.InFlight != before.InFlight || d.MaxBatch != before.MaxBatch || d.Hold != before.Hold)
	if decided {
		b.decisions[d.Name.String()]++
		b.settle(d, was.mode)
	}
	b.mu.Unlock()
	if changed && b.cfg.OnDecision != nil {
		b.cfg.OnDecision(b.public(now, name, d))
	}
}

func (b *Backend) public(at time.Duration, copyName string, d tune.Decision) Decision {
	return Decision{
		Backend: b.cfg.Name, Copy: copyName, At: at, Name: d.Name.String(), Reason: d.String(),
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
	Decision  string            // the tuner's last, with its figures
	Decisions map[string]uint64 // by name
	Modes     ModeStats         // what is aimed at, and why
	Arrived   uint64            // normal and bulk requests
	Blocked   uint64            // of them, those that found no slot free
}

// Stats is a snapshot.
func (b *Backend) Stats() BackendStats {
	p, shared, urgent := b.slots.counted()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stance.Load()
	return BackendStats{
		Name: b.cfg.Name, InFlight: s.k, Reserved: max(0, b.cfg.Reserved), MaxBatch: s.MaxBatch, Hold: s.hold,
		Shared: shared, Urgent: urgent, Decision: s.String(), Decisions: maps.Clone(b.decisions),
		Modes: b.modeStats(s.mode), Arrived: p.arrived, Blocked: p.blocked,
	}
}
