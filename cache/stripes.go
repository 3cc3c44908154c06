package cache

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"
)

// stripes are the generations of all keys.
type stripes[K comparable] struct {
	seed maphash.Seed
	each []stripe // a power of two
	all  stripe   // of all keys together
}

// stripe is the generation of some keys. The word holds the writes under way in its lower
// bits and the generation above, so that one comparison sees both.
type stripe struct {
	word    atomic.Uint64
	written atomic.Uint32 // when it moved last, in whole seconds since the cache was made, and one
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
	s.each = make([]stripe, 1<<bits.Len(uint(n-1)))
	for i := range s.each {
		s.each[i].word.Store(generation) // 0 is nobody's
	}
	s.all.word.Store(generation)
}

func (s *stripes[K]) of(key K) *stripe {
	return &s.each[maphash.Comparable(s.seed, key)&uint64(len(s.each)-1)]
}

// begin makes old what is kept, and what is on its way to be.
func (s *stripe) begin(now time.Duration) { s.move(now, generation+1) }

// end does the same once more, and lets what is read from now on be kept.
func (s *stripe) end(now time.Duration) { s.move(now, generation-1) }

// forget makes old what is kept, and what is on its way to be.
func (s *stripe) forget(now time.Duration) { s.move(now, generation) }

func (s *stripe) move(now time.Duration, by uint64) {
	s.written.Store(uint32(now/time.Second) + 1)
	s.word.Add(by)
}

// recently is how long after a write only the primary is sure to have it: longer than a
// replica that is asked for what will be kept may lag.
const recently = 10 * time.Second

// isRecent says whether somebody wrote lately.
func (s *stripe) isRecent(now time.Duration) bool {
	at := s.written.Load()
	return at != 0 && int64(now/time.Second)-int64(at-1) <= int64(recently/time.Second)
}
