package cache

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// stripes are the generations of all keys. A word holds the writes under way in its lower
// bits and the generation above, so that one comparison sees both.
type stripes[K comparable] struct {
	seed  maphash.Seed
	words []atomic.Uint64 // a power of two
	all   atomic.Uint64   // of all keys together
}

const (
	underWay   = 1<<20 - 1 // writes of one stripe at once
	generation = underWay + 1

	leastStripes, mostStripes = 1 << 10, 1 << 21

	// stripesOfEntry: of two writes one makes an entry old that is not its own.
	stripesOfEntry = 2
)

func (s *stripes[K]) init(entries int) {
	n := min(mostStripes, max(leastStripes, stripesOfEntry*min(entries, mostStripes)))
	s.seed = maphash.MakeSeed()
	s.words = make([]atomic.Uint64, 1<<bits.Len(uint(n-1)))
	for i := range s.words {
		s.words[i].Store(generation) // 0 is nobody's
	}
	s.all.Store(generation)
}

func (s *stripes[K]) of(key K) *atomic.Uint64 {
	return &s.words[maphash.Comparable(s.seed, key)&uint64(len(s.words)-1)]
}

// begin makes old what is kept, and what is on its way to be.
func begin(w *atomic.Uint64) { w.Add(generation + 1) }

// end does the same once more, and lets what is read from now on be kept.
func end(w *atomic.Uint64) { w.Add(generation - 1) }
