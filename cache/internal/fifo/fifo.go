// Package fifo keeps entries by S3-FIFO: a small queue for what is new, a main queue for
// what was asked for again while it was there, and a memory of what left the small one
// (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
//
//	new ──► small (a tenth) ──(asked for twice)──► main ──(not asked for since)──► out
//	          │                                     ▲  └─(asked for)─► its end
//	          └─(not)─► out, remembered ──(comes again)──┘
//
// Reading takes no lock and moves nothing: it counts to three. On recorded traffic that
// keeps more than LRU does, also where nearly everything is asked for again soon, which
// admission filters are bad at.
package fifo

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

// Cache keeps pointers to entries up to a weight. It is safe for concurrent use.
type Cache[K comparable, E any] struct {
	most  int64
	seed  maphash.Seed
	nodes *xsync.Map[K, *node[K, E]]

	weight    atomic.Int64
	evictions atomic.Uint64

	mu          sync.Mutex // guards what follows; who reads does not take it
	small, main queue[K, E]
	ghosts      ghosts
}

type node[K comparable, E any] struct {
	key    K
	entry  atomic.Pointer[E]
	asked  atomic.Uint32 // up to maxAsked, since it came or was looked at
	weight int64
	next   *node[K, E]
	inMain bool
	gone   bool // is in a queue, and nowhere else
}

const (
	maxAsked  = 3
	smallPart = 10 // the small queue holds one part of so many
)

// New makes a Cache that holds entries up to a weight.
func New[K comparable, E any](most int) *Cache[K, E] {
	return &Cache[K, E]{most: int64(most), seed: maphash.MakeSeed(), nodes: xsync.NewMap[K, *node[K, E]]()}
}

// Get is the entry of a key, nil if there is none.
func (c *Cache[K, E]) Get(key K) *E {
	n, ok := c.nodes.Load(key)
	if !ok {
		return nil
	}
	if n.asked.Load() < maxAsked {
		n.asked.Add(1)
	}
	return n.entry.Load()
}

// Put keeps an entry. If there is one already, keep is asked whether that stays. An entry
// that is heavier than all may be together is not kept.
func (c *Cache[K, E]) Put(key K, e *E, weight int, keep func(old *E) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := int64(weight)
	n, ok := c.nodes.Load(key)
	switch {
	case ok && keep(n.entry.Load()):
		return
	case w > c.most:
		if ok {
			c.drop(n)
		}
		return
	case ok:
		n.entry.Store(e)
		c.queueOf(n).weight += w - n.weight
		c.weight.Add(w - n.weight)
		n.weight = w
	default:
		c.insert(key, e, w)
	}
	for c.weight.Load() > c.most {
		c.evict()
	}
}

// insert adds a node at the end of the queue where it belongs.
func (c *Cache[K, E]) insert(key K, e *E, w int64) {
	n := &node[K, E]{key: key, weight: w}
	n.entry.Store(e)
	n.inMain = c.ghosts.take(maphash.Comparable(c.seed, key))
	c.queueOf(n).push(n)
	c.weight.Add(w)
	c.nodes.Store(key, n)
}

func (c *Cache[K, E]) queueOf(n *node[K, E]) *queue[K, E] {
	if n.inMain {
		return &c.main
	}
	return &c.small
}

// drop forgets a node, which stays in its queue until its turn comes.
func (c *Cache[K, E]) drop(n *node[K, E]) {
	n.gone = true
	c.queueOf(n).weight -= n.weight
	c.weight.Add(-n.weight)
	c.nodes.Delete(n.key)
}

// evict looks at one node, which moves or goes.
func (c *Cache[K, E]) evict() {
	if c.small.weight > c.most/smallPart || c.main.first == nil {
		c.evictSmall()
	} else {
		c.evictMain()
	}
}

func (c *Cache[K, E]) evictSmall() {
	n := c.small.pop()
	switch {
	case n == nil || n.gone:
	case n.asked.Load() > 1:
		n.asked.Store(0)
		n.inMain = true
		c.main.push(n)
	default:
		c.ghosts.add(maphash.Comparable(c.seed, n.key), c.nodes.Size())
		c.leave(n)
	}
}

func (c *Cache[K, E]) evictMain() {
	n := c.main.pop()
	switch asked := n.asked.Load(); {
	case n.gone:
	case asked > 0:
		n.asked.Store(asked - 1)
		c.main.push(n)
	default:
		c.leave(n)
	}
}

// leave forgets a node that was taken off its queue.
func (c *Cache[K, E]) leave(n *node[K, E]) {
	c.weight.Add(-n.weight)
	c.nodes.Delete(n.key)
	c.evictions.Add(1)
}

// Clear forgets everything.
func (c *Cache[K, E]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes.Clear()
	c.small, c.main, c.ghosts = queue[K, E]{}, queue[K, E]{}, ghosts{}
	c.weight.Store(0)
}

// Len is how many entries there are.
func (c *Cache[K, E]) Len() int { return c.nodes.Size() }

// Weight is what they weigh together.
func (c *Cache[K, E]) Weight() int { return int(c.weight.Load()) }

// Evictions is how many went because there was no room.
func (c *Cache[K, E]) Evictions() uint64 { return c.evictions.Load() }

// queue is a list of nodes; gone ones weigh nothing.
type queue[K comparable, E any] struct {
	first, last *node[K, E]
	weight      int64
}

func (q *queue[K, E]) push(n *node[K, E]) {
	n.next = nil
	if q.last == nil {
		q.first = n
	} else {
		q.last.next = n
	}
	q.last = n
	q.weight += n.weight
}

func (q *queue[K, E]) pop() *node[K, E] {
	n := q.first
	if n == nil {
		return nil
	}
	if q.first = n.next; q.first == nil {
		q.last = nil
	}
	n.next = nil
	if !n.gone {
		q.weight -= n.weight
	}
	return n
}

// ghosts are hashes of keys that left the small queue lately, oldest first.
type ghosts struct {
	there map[uint64]uint32 // how often each is in the ring
	ring  []uint64
	head  int
}

// add remembers a hash, and at most so many.
func (g *ghosts) add(h uint64, most int) {
	if g.there == nil {
		g.there = make(map[uint64]uint32)
	}
	g.there[h]++
	g.ring = append(g.ring, h)
	for len(g.ring)-g.head > most {
		g.forget(g.ring[g.head])
		g.head++
	}
	if g.head > len(g.ring)/2 {
		g.ring = append(g.ring[:0], g.ring[g.head:]...)
		g.head = 0
	}
}

// forget takes one place of a hash away.
func (g *ghosts) forget(h uint64) {
	switch n := g.there[h]; {
	case n > 1:
		g.there[h] = n - 1
	case n == 1:
		delete(g.there, h)
	}
}

// take says whether a hash is remembered, and forgets it.
func (g *ghosts) take(h uint64) bool {
	_, ok := g.there[h]
	delete(g.there, h)
	return ok
}
