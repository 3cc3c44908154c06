package beacon

import (
	"maps"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/experience"
)

// Config says who may send what.
type Config struct {
	// Origins may send besides the gateway's own host, such as https://shop.example.
	// Default none.
	Origins []string
	// Rate is how many beacons a second are taken, and how many at once. Default 2,000.
	Rate float64
	// Keep is how many visits are kept, and how many ids are known again. Default 20,000.
	Keep int
	// Target is that of Apdex. Default 1 s.
	Target time.Duration
}

// Why a beacon is refused.
const (
	refusedOrigin  = "origin"
	refusedRate    = "rate"
	refusedSize    = "size"
	refusedGarbage = "garbage"
	refusedReplay  = "replayed"
	refusedMethod  = "method"
)

// Receiver keeps what was told. It is safe for many goroutines.
type Receiver struct {
	// Tell is told of each beacon that was taken, as it came. It must not block. Set it
	// before the first one. Default nil.
	Tell func(view string, body []byte)

	cfg Config

	mu       sync.Mutex // guards what follows
	restored bool       // some visits are of a time before
	tokens   float64
	filled   time.Time
	seen     ring[struct{}]
	visits   ring[experience.Visit]
	accepted uint64
	started  uint64
	left     uint64 // visits that ended before the page was usable
	refused  map[string]uint64
}

// New makes a Receiver. Fields of Config that are zero or less have their defaults.
func New(c Config) *Receiver {
	if c.Rate <= 0 {
		c.Rate = 2000
	}
	if c.Keep <= 0 {
		c.Keep = 20_000
	}
	if c.Target <= 0 {
		c.Target = time.Second
	}
	return &Receiver{
		cfg: c, tokens: c.Rate, refused: make(map[string]uint64),
		seen: newRing[struct{}](c.Keep), visits: newRing[experience.Visit](c.Keep),
	}
}

// admit takes one from the rate, if there is one left.
func (r *Receiver) admit(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.filled.IsZero() {
		r.tokens = min(r.cfg.Rate, r.tokens+max(0, now.Sub(r.filled).Seconds())*r.cfg.Rate)
	}
	r.filled = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

func (r *Receiver) refuse(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused[why]++
}

// start counts a page that began, as the server sees it.
func (r *Receiver) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started++
}

// keep takes a message, unless it was taken before. A later one of the same view
// replaces the earlier: it knows more.
func (r *Receiver) keep(m *message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen.put(m.ID, struct{}{}) {
		return false
	}
	r.accepted++
	if first := r.visits.put(m.View, m.visit()); first && m.Abandoned {
		r.left++
	}
	return true
}

// Kept is how many visits are kept at most.
func (r *Receiver) Kept() int { return r.cfg.Keep }

// Restore takes back a beacon that was told before a restart. One that cannot be read
// is passed over.
func (r *Receiver) Restore(body []byte) {
	m, err := parse(body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restored = true
	r.seen.put(m.ID, struct{}{})
	r.visits.put(m.View, m.visit())
}

// Counts is what became of the beacons, since the start.
type Counts struct {
	Accepted  uint64            `json:"accepted_total"`
	Started   uint64            `json:"started_total"`   // times that the script was asked for
	Abandoned uint64            `json:"abandoned_total"` // visits that ended before the page was usable
	Refused   map[string]uint64 `json:"refused_total"`   // by reason
	Kept      int               `json:"kept"`            // visits
}

// Counts is a snapshot.
func (r *Receiver) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Counts{r.accepted, r.started, r.left, maps.Clone(r.refused), len(r.visits.at)}
}

// Report analyses the visits that are kept. It returns experience.ErrNoVisits before
// the first one.
func (r *Receiver) Report() (*experience.Report, error) {
	r.mu.Lock()
	visits := r.visits.all()
	started := int(r.started)
	if int(r.accepted) > r.cfg.Keep || r.restored { // then starts and visits are not of the same time
		started = 0
	}
	r.mu.Unlock()
	return experience.Analyse(visits, experience.Config{Started: started, Target: r.cfg.Target})
}

// ring keeps the last values, by key.
type ring[T any] struct {
	at     map[string]int
	keys   []string
	values []T
	next   int
	size   int
}

func newRing[T any](size int) ring[T] { return ring[T]{at: make(map[string]int), size: size} }

// put keeps a value, in the place of the one with its key or of the oldest. It says
// whether the key is new.
func (r *ring[T]) put(key string, v T) bool {
	if i, there := r.at[key]; there {
		r.values[i] = v
		return false
	}
	if len(r.keys) < r.size {
		r.keys, r.values = append(r.keys, key), append(r.values, v)
		r.at[key] = len(r.keys) - 1
		return true
	}
	delete(r.at, r.keys[r.next])
	r.keys[r.next], r.values[r.next] = key, v
	r.at[key] = r.next
	r.next = (r.next + 1) % r.size
	return true
}

// all is a copy of the values.
func (r *ring[T]) all() []T { return append([]T(nil), r.values...) }
