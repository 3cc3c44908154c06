package cache_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
)

// ledger is a table whose every row has a history of versions, and the checker of what is
// read from it: no read returns a state older than a write that was acknowledged before
// the read began, nor one older than what the same reader has seen, in whatever way.
type ledger struct {
	mu      sync.Mutex
	rows    map[int][]bool // by key: whether each version is there or deleted; the first is 0
	acked   map[int]int    // by key: the newest version that was acknowledged
	lies    []string
	pause   func(upTo time.Duration)
	trouble bool // commits may fail, or lose their answers
}

// change is one write; landed is its version, once it is made.
type change struct {
	key     int
	deletes bool
	landed  *atomic.Int64
}

func newLedger(pause func(time.Duration), trouble bool) *ledger {
	return &ledger{rows: map[int][]bool{}, acked: map[int]int{}, pause: pause, trouble: trouble}
}

// state is a row as it is now. The lock is held.
func (l *ledger) state(key int) (version int, there bool) {
	h := l.rows[key]
	return len(h), len(h) == 0 || h[len(h)-1]
}

func (l *ledger) fetch(_ context.Context, b *fulcrum.Batch[int, int]) error {
	l.pause(2 * time.Millisecond)
	l.mu.Lock()
	for i, k := range b.Keys() {
		if version, there := l.state(k); there {
			b.SetAt(i, version)
		}
	}
	l.mu.Unlock()
	l.pause(2 * time.Millisecond)
	return nil
}

func (l *ledger) land(changes []change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		l.rows[c.key] = append(l.rows[c.key], !c.deletes)
		c.landed.Store(int64(len(l.rows[c.key])))
	}
}

// latest is how long after its answer was lost a commit may still be made.
const latest = 5 * time.Second

func (l *ledger) apply(_ context.Context, c *fulcrum.Commit[change, struct{}]) error {
	l.pause(time.Millisecond)
	changes := append([]change(nil), c.Items()...)
	chance := rand.IntN(12)
	if !l.trouble {
		chance = 12
	}
	switch chance {
	case 0:
		return errors.New("nothing was made")
	case 1: // its answer is lost, it is made soon, and Resolve will say so
		c.SetID("made")
		time.AfterFunc(rand.N(latest), func() { l.land(changes) })
		return fulcrum.ErrAmbiguous
	case 2: // or nobody can tell
		time.AfterFunc(rand.N(latest), func() { l.land(changes) })
		return fulcrum.ErrAmbiguous
	}
	l.land(changes)
	l.pause(time.Millisecond)
	return nil
}

// resolve knows what became of commits that have landed for sure.
func (l *ledger) resolve(context.Context, fulcrum.CommitID) (fulcrum.Fate, error) {
	time.Sleep(latest)
	return fulcrum.FateCommitted, nil
}

// acknowledge notes that a write was.
func (l *ledger) acknowledge(c change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[c.key] = max(l.acked[c.key], int(c.landed.Load()))
}

func (l *ledger) floor(key int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked[key]
}

// read checks what a reader was told of a key, and returns the oldest version that this
// can have been.
func (l *ledger) read(key, floor int, version int, found bool, how string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.rows[key]
	if found {
		if version < floor {
			l.lies = append(l.lies, fmt.Sprintf("key %d: version %d, and %d was known (%s)", key, version, floor, how))
		}
		return max(floor, version)
	}
	for v := max(1, floor); v <= len(h); v++ {
		if !h[v-1] {
			return v
		}
	}
	l.lies = append(l.lies, fmt.Sprintf("key %d: not found, which it was in no version since %d (%s)", key, floor, how))
	return floor
}

var waysToRead = []struct {
	name string
	opts []fulcrum.Option
}{
	{"normal", nil}, {"normal", nil}, {"normal", nil}, {"bulk", []fulcrum.Option{fulcrum.Bulk}}, {"urgent", []fulcrum.Option{fulcrum.Urgent}},
	{"fresh", []fulcrum.Option{fulcrum.Fresh}}, {"max staleness", []fulcrum.Option{fulcrum.MaxStaleness(5 * time.Millisecond)}},
}

// reader reads for a while, as somebody who remembers what it has seen.
func (l *ledger) reader(r *fulcrum.Reader[int, int], keys, reads int) {
	seen := map[int]int{}
	ctx := fulcrum.WithScope(context.Background(), []string{"", "a"}[rand.IntN(2)])
	for range reads {
		way := waysToRead[rand.IntN(len(waysToRead))]
		key := rand.IntN(keys)
		if rand.IntN(4) == 0 {
			all := []int{key, (key + 1) % keys}
			floors := []int{max(seen[all[0]], l.floor(all[0])), max(seen[all[1]], l.floor(all[1]))}
			got, err := r.GetMany(ctx, all, way.opts...)
			for i, k := range all {
				if version, found := got[k]; err == nil {
					seen[k] = l.read(k, floors[i], version, found, way.name+", many")
				}
			}
		} else {
			floor := max(seen[key], l.floor(key))
			version, err := r.Get(ctx, key, way.opts...)
			if err == nil || errors.Is(err, fulcrum.ErrNotFound) {
				seen[key] = l.read(key, floor, version, err == nil, way.name)
			}
		}
		l.pause(3 * time.Millisecond)
	}
}

// writer writes for a while.
func (l *ledger) writer(w *fulcrum.Writer[change, struct{}], keys, writes int) {
	for range writes {
		c := change{key: rand.IntN(keys), deletes: rand.IntN(3) == 0, landed: new(atomic.Int64)}
		if _, err := w.Write(context.Background(), c); err == nil {
			l.acknowledge(c)
		}
		l.pause(20 * time.Millisecond)
	}
}

// bug is a cache, or a way to tell it of writes, that is wrong in one place.
type bug struct {
	name  string
	ttl   time.Duration // 0: 30 s
	cache func(*cache.Near[int, int]) fulcrum.Cache[int, int]
	told  func(*cache.Near[int, int]) func(*fulcrum.Commit[change, struct{}]) func(bool)
}

func keyOf(c change) int { return c.key }

func rightCache(n *cache.Near[int, int]) fulcrum.Cache[int, int] { return n }

func rightlyTold(n *cache.Near[int, int]) func(*fulcrum.Commit[change, struct{}]) func(bool) {
	return cache.Invalidating[change, struct{}](n, keyOf)
}

// unleased keeps whatever comes: it takes the lease when the answer is there.
type unleased struct{ *cache.Near[int, int] }

func (c unleased) Put(scope string, key int, _ fulcrum.Lease, value int, found bool) {
	c.Near.Put(scope, key, c.Lease(key), value, found)
}

// gregarious has a reader wait for any query that is in flight.
type gregarious struct {
	*cache.Near[int, int]
	leases sync.Map
	n      atomic.Int64
}

func (c *gregarious) Lease(key int) fulcrum.Lease {
	at := time.Duration(c.n.Add(1))
	c.leases.Store(at, c.Near.Lease(key))
	return fulcrum.Lease{Generation: 1, All: 1, At: at}
}

func (c *gregarious) Put(scope string, key int, l fulcrum.Lease, value int, found bool) {
	lease, _ := c.leases.Load(l.At)
	c.Near.Put(scope, key, lease.(fulcrum.Lease), value, found)
}

var bugs = []bug{
	{name: "fills without a generation", cache: func(n *cache.Near[int, int]) fulcrum.Cache[int, int] { return unleased{n} }, told: rightlyTold},
	{name: "waits for any query", ttl: time.Millisecond, cache: func(n *cache.Near[int, int]) fulcrum.Cache[int, int] { return &gregarious{Near: n} }, told: rightlyTold},
	{name: "forgets before the commit alone", cache: rightCache, told: func(n *cache.Near[int, int]) func(*fulcrum.Commit[change, struct{}]) func(bool) {
		return func(c *fulcrum.Commit[change, struct{}]) func(bool) {
			for _, i := range c.Items() {
				n.Forget(i.key)
			}
			return func(bool) {}
		}
	}},
	{name: "forgets after the commit alone", cache: rightCache, told: func(n *cache.Near[int, int]) func(*fulcrum.Commit[change, struct{}]) func(bool) {
		return func(c *fulcrum.Commit[change, struct{}]) func(bool) {
			return func(bool) {
				for _, i := range c.Items() {
					n.Forget(i.key)
				}
			}
		}
	}},
	{name: "takes an unknown fate for a known one", cache: rightCache, told: func(n *cache.Near[int, int]) func(*fulcrum.Commit[change, struct{}]) func(bool) {
		return func(c *fulcrum.Commit[change, struct{}]) func(bool) {
			over := rightlyTold(n)(c)
			return func(bool) { over(true) }
		}
	}},
}

// run has readers and writers at a ledger through a cache, and returns what the checker
// has against what was read.
func (b bug) run(t *testing.T, l *ledger, readers, reads, writers, writes int) (lies []string, hits uint64) {
	near, err := cache.New(cache.Config[int, int]{Entries: 50, TTL: cmp.Or(b.ttl, 30*time.Second), StaleWhileRevalidate: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{Fetch: l.fetch, Cache: b.cache(near)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := fulcrum.NewWriter(fulcrum.WriterConfig[change, struct{}]{
		Apply: l.apply, Resolve: l.resolve, Invalidate: b.told(near), OrderBy: func(c change) string { return fmt.Sprint(c.key) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range readers {
		all.Go(func() { l.reader(r, 8, reads) })
	}
	for range writers {
		all.Go(func() { l.writer(w, 8, writes) })
	}
	all.Wait()
	return l.lies, near.Stats().Hits
}

func sleepUpTo(d time.Duration) { time.Sleep(rand.N(d)) }

func virtually(t *testing.T, b bug) (lies []string, hits uint64) {
	synctest.Test(t, func(t *testing.T) {
		lies, hits = b.run(t, newLedger(sleepUpTo, true), 20, 500, 4, 60)
		time.Sleep(2 * latest) // what still lands
	})
	return lies, hits
}

// Histories of readers and writers, in virtual time, with commits that fail, lose their
// answers, or are made after nobody waits for them any more.
func TestCacheTruth(t *testing.T) {
	rounds, hits := 20, uint64(0)
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		ttl := []time.Duration{30 * time.Second, 5 * time.Millisecond}[round%2]
		lies, n := virtually(t, bug{ttl: ttl, cache: rightCache, told: rightlyTold})
		if len(lies) > 0 {
			t.Fatalf("%d reads were wrong, among them: %s", len(lies), lies[0])
		}
		hits += n
	}
	t.Logf("%d rounds of 10,000 reads and 240 writes: %d hits", rounds, hits)
	if hits < uint64(rounds)*1000 {
		t.Errorf("%d hits in %d rounds: nothing was tested", hits, rounds)
	}
}

// The checker sees what is wrong with caches that are.
func TestCacheTruthSeesLies(t *testing.T) {
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			for range 150 {
				if lies, _ := virtually(t, b); len(lies) > 0 {
					t.Log(len(lies), "lies:", lies[0])
					return
				}
			}
			t.Error("150 histories, and nothing was noticed")
		})
	}
}

// The same in real time, as fast as it goes.
func TestCacheTruthInRealTime(t *testing.T) {
	hurry := func(d time.Duration) {
		if rand.IntN(50) == 0 {
			time.Sleep(rand.N(d / 10))
		}
	}
	lies, hits := bug{cache: rightCache, told: rightlyTold}.run(t, newLedger(hurry, false), 8, 20_000, 2, 5_000)
	if len(lies) > 0 {
		t.Fatalf("%d reads were wrong, among them: %s", len(lies), lies[0])
	}
	t.Logf("%d hits", hits)
}
