package cache

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/fulcrum-data/fulcrum"
)

// Stats is what a Near has done since it was made, and what it holds.
type Stats struct {
	Hits          uint64 // answers, those below included
	Negative      uint64 // that the key was not found
	Stale         uint64 // that were older than TTL
	Misses        uint64 // requests that it had no answer to
	Refused       uint64 // answers of the backend that a write had made old meanwhile
	Invalidations uint64 // keys that were written or forgotten; all of them at once count once
	Evictions     uint64 // entries that went because it was full
	Entries       int    // that it holds, about, old ones included until they are needed no more
	Bytes         uint64 // that it holds, about; 0 without Config.Bytes
}

// HitRatio is hits by requests, 0 to 1; 0 if there were none.
func (s Stats) HitRatio() float64 {
	if s.Hits+s.Misses == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// Stats is a snapshot.
func (c *Near[K, V]) Stats() Stats {
	s := Stats{
		Refused: c.counts.refused.Load(), Invalidations: c.counts.invalidations.Load(), Evictions: c.entries.Evictions(),
		Entries: c.entries.Len(),
	}
	if c.cfg.Bytes > 0 {
		s.Bytes = uint64(c.entries.Weight())
	}
	for i := range c.counts.cells {
		cell := &c.counts.cells[i]
		s.Hits += cell.hits.Load()
		s.Negative += cell.negative.Load()
		s.Stale += cell.stale.Load()
		s.Misses += cell.misses.Load()
	}
	return s
}

// counts are spread over cells, since all processors count what one hot key is asked for.
type counts struct {
	cells                  [8]cell // a power of two
	refused, invalidations atomic.Uint64
}

type cell struct {
	hits, negative, stale, misses atomic.Uint64
	_                             [96]byte // to the next cache line but one: they are fetched in pairs
}

func (c *counts) cell() *cell { return &c.cells[rand.Uint32()%uint32(len(c.cells))] }

func (c *counts) hit(missing, stale bool) {
	cell := c.cell()
	cell.hits.Add(1)
	if missing {
		cell.negative.Add(1)
	}
	if stale {
		cell.stale.Add(1)
	}
}

// miss counts a request, once.
func (c *counts) miss(d fulcrum.Demand) {
	if !d.Again {
		c.cell().misses.Add(1)
	}
}
