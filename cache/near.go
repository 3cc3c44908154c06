package cache

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache/internal/fifo"
)

// Near keeps entries in memory. It is a fulcrum.Cache, safe for concurrent use, and may
// stand before several Readers of the same rows. It needs no closing.
type Near[K comparable, V any] struct {
	cfg     Config[K, V]
	epoch   time.Time // all times inside are since then
	entries *fifo.Cache[id[K], entry[V]]
	stripes stripes[K]
	counts  counts
}

// id is a key as one scope sees it.
type id[K comparable] struct {
	scope string
	key   K
}

// entry is an answer that is kept. All but refresh stays as it was made.
type entry[V any] struct {
	value   V
	missing bool
	lease   fulcrum.Lease
	stripe  *stripe       // of its key
	until   time.Duration // when it begins to be stale
	refresh atomic.Int64  // when somebody may be told to refresh it again, ns
}

// refreshAgain is how long one who was told to refresh an entry has time for it.
const refreshAgain = int64(time.Second)

// New makes a Near.
func New[K comparable, V any](cfg Config[K, V]) (*Near[K, V], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Near[K, V]{cfg: cfg, epoch: time.Now()}
	expected := cfg.Entries
	if cfg.Bytes > 0 {
		expected = cfg.Bytes / (2 * EntryBytes)
	}
	c.entries = fifo.New[id[K], entry[V]](max(cfg.Entries, cfg.Bytes))
	c.stripes.init(expected)
	return c, nil
}

// weightOf is what an entry counts of what there may be.
func (c *Near[K, V]) weightOf(k id[K], e *entry[V]) int {
	if c.cfg.Bytes == 0 {
		return 1
	}
	return EntryBytes + len(k.scope) + min(mostBytes, max(0, c.cfg.Size(k.key, e.value)))
}

// mostBytes is more than any entry that is kept, and small enough to be added to.
const mostBytes = math.MaxInt / 2

// Config is what it was made of, with all defaults filled in.
func (c *Near[K, V]) Config() Config[K, V] { return c.cfg }

func (c *Near[K, V]) now() time.Duration { return time.Since(c.epoch) }

// holds says that nothing was written since the entry's lease was given.
func (c *Near[K, V]) holds(e *entry[V]) bool {
	return e.stripe.word.Load() == e.lease.Generation && c.stripes.all.word.Load() == e.lease.All
}

// Get returns what is kept of a key; see fulcrum.Cache.
func (c *Near[K, V]) Get(scope string, key K, d fulcrum.Demand) (fulcrum.Kept[V], bool) {
	e := c.entries.Get(id[K]{scope, key})
	if e == nil || !c.holds(e) {
		c.counts.miss(d)
		return fulcrum.Kept[V]{}, false
	}
	now := c.now()
	kept := fulcrum.Kept[V]{Value: e.value, Missing: e.missing, Age: now - e.lease.At}
	if late := now - e.until; late >= 0 {
		kept.Stale = true
		if late >= c.grace(d) {
			c.counts.miss(d)
			return fulcrum.Kept[V]{}, false
		}
		kept.Refresh = !d.Degraded && e.claim(now)
	}
	if d.MaxAge > 0 && kept.Age > d.MaxAge {
		c.counts.miss(d)
		return fulcrum.Kept[V]{}, false
	}
	c.counts.hit(e.missing, kept.Stale)
	return kept, true
}

// grace is how long an entry is told after it has become stale.
func (c *Near[K, V]) grace(d fulcrum.Demand) time.Duration {
	if d.Degraded {
		return max(c.cfg.StaleIfDegraded, c.cfg.StaleWhileRevalidate)
	}
	return c.cfg.StaleWhileRevalidate
}

// claim has one caller refresh the entry.
func (e *entry[V]) claim(now time.Duration) bool {
	at := e.refresh.Load()
	return int64(now) >= at && e.refresh.CompareAndSwap(at, int64(now)+refreshAgain)
}

// Lease says of which generation a key is; see fulcrum.Cache.
func (c *Near[K, V]) Lease(key K) fulcrum.Lease {
	s, now := c.stripes.of(key), c.now()
	l := fulcrum.Lease{Generation: s.word.Load(), All: c.stripes.all.word.Load(), At: now}
	l.Recent = s.isRecent(now) || c.stripes.all.isRecent(now)
	if l.Generation&underWay != 0 || l.All&underWay != 0 {
		return fulcrum.Lease{Recent: true}
	}
	return l
}

// Put keeps an answer; see fulcrum.Cache. One that was asked for earlier than what is kept
// changes nothing.
func (c *Near[K, V]) Put(scope string, key K, l fulcrum.Lease, value V, found bool) {
	ttl := c.cfg.TTL
	if !found {
		ttl = c.cfg.NegativeTTL
	}
	if l.None() || ttl <= 0 {
		return
	}
	e := &entry[V]{value: value, missing: !found, lease: l, stripe: c.stripes.of(key)}
	e.until = l.At + ttl - rand.N(ttl/10+1)
	if !c.holds(e) { // it would be told to nobody
		c.counts.refused.Add(1)
		return
	}
	k := id[K]{scope, key}
	c.entries.Put(k, e, c.weightOf(k, e), func(old *entry[V]) bool { return old.lease.At > l.At && c.holds(old) })
}
