package usage

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// stack finds how many different keys were asked for since a key's last time: its
// distance. A cache of n entries that forgets the least recently used one answers
// all requests with a distance up to n (Mattson et al., 1970). The order of keys is a
// Fenwick tree over the moments at which they were last asked for.
//
// After exact references it follows only keys whose hash is below a limit, and halves
// that whenever they are too many. Such a key stands for 1/R, as do its references
// (SHARDS). The hottest keys are always followed and stand for themselves: whether one
// of them is in the sample would decide the curve.
type stack struct {
	exact   uint64 // references before it samples
	maxKeys int    // followed at once, then

	refs    uint64
	now     uint32
	live    int // keys followed
	all     int // what they stand for
	limit   uint64
	weight  int32 // 1/R
	tree    []int32
	sure    tally // distances of references that stand for themselves
	drawn   tally // of those that were drawn
	sampled bool
}

// hot marks the moment of a key that stands for itself.
const hot = 1 << 31

// hotKeys bounds the hot ones: at most one in so many of those that are followed.
const hotKeys = 8

// maxWeight keeps sums of weights within 32 bits.
const maxWeight = 1 << 20

func newStack(exact uint64, maxKeys int) stack {
	return stack{exact: exact, maxKeys: maxKeys, limit: math.MaxUint64, weight: 1}
}

// rate is R, the share of keys that is followed.
func (s *stack) rate() float64 { return 1 / float64(s.weight) }

// ask is a reference to a key of the table t, which has counted it.
func (s *stack) ask(t *table, e *entry) {
	if s.refs++; s.refs > s.exact && !s.sampled {
		s.sampled = true
		s.thin(t)
	}
	isHot := s.isHot(e)
	if e.hash > s.limit && !isHot && e.pos == 0 {
		return
	}
	if int(s.now)+1 >= len(s.tree) {
		s.compact(t)
	}
	weight := s.weight
	if isHot {
		weight = 1
	}
	if e.pos == 0 {
		s.live++
	} else {
		later := s.all - s.sum(e.pos&^hot)
		if weight == 1 {
			s.sure.add(float64(later)+1, 1)
		} else {
			s.drawn.add(float64(later)+1, float64(weight))
		}
		s.forget(e)
	}
	s.now++
	e.pos = s.now
	if isHot {
		e.pos |= hot
	} else if e.hash > s.limit { // it was hot, and is no longer
		e.pos = 0
		s.live--
		s.now--
		return
	}
	s.move(s.now, weight)
	if s.sampled && s.live > s.maxKeys {
		s.thin(t)
	}
}

// isHot holds for at most maxKeys/hotKeys keys at a time.
func (s *stack) isHot(e *entry) bool {
	return s.sampled && uint64(e.seen())*uint64(s.maxKeys) > hotKeys*s.refs
}

// forget takes a key's last moment away.
func (s *stack) forget(e *entry) { s.move(e.pos&^hot, -s.weightOf(e)) }

// weightOf is what a key that is followed stands for.
func (s *stack) weightOf(e *entry) int32 {
	if e.pos&hot != 0 {
		return 1
	}
	return s.weight
}

// sum is what the keys last asked for up to a moment stand for.
func (s *stack) sum(pos uint32) int {
	n := int32(0)
	for i := pos; i > 0; i &= i - 1 {
		n += s.tree[i]
	}
	return int(n)
}

func (s *stack) move(pos uint32, by int32) {
	s.all += int(by)
	for i := int(pos); i < len(s.tree); i += i & -i {
		s.tree[i] += by
	}
}

// thin follows fewer keys, until they are at most half of what is allowed.
func (s *stack) thin(t *table) {
	for s.live > s.maxKeys/2 && s.weight < maxWeight {
		s.limit /= 2
		s.weight *= 2
		s.live = 0
		t.each(func(e *entry) {
			if !s.isHot(e) {
				e.pos &^= hot
				if e.hash > s.limit {
					e.pos = 0
				}
			}
			if e.pos != 0 {
				s.live++
			}
		})
	}
	s.compact(t)
}

// compact numbers the moments anew, in order.
func (s *stack) compact(t *table) {
	followed := make([]*entry, 0, s.live)
	t.each(func(e *entry) {
		if e.pos != 0 {
			followed = append(followed, e)
		}
	})
	slices.SortFunc(followed, func(a, b *entry) int { return cmp.Compare(a.pos&^hot, b.pos&^hot) })
	s.live, s.all = len(followed), 0
	if size := 1 << bits.Len(uint(max(4096, 3*s.live))); size > len(s.tree) || size < len(s.tree)/4 {
		s.tree = make([]int32, size)
	}
	clear(s.tree)
	for i, e := range followed {
		w := s.weightOf(e)
		e.pos = e.pos&hot | uint32(i) + 1
		s.tree[i+1] = w
		s.all += int(w)
	}
	for i := 1; i < len(s.tree); i++ { // each place hands its sum up
		if up := i + i&-i; up < len(s.tree) {
			s.tree[up] += s.tree[i]
		}
	}
	s.now = uint32(len(followed))
}

// missRatio is the share of references that an LRU cache of so many entries misses,
// of keys different ones in all. Each key's first reference misses. What was drawn is
// scaled to what is known to be left.
func (s *stack) missRatio(entries, keys float64) float64 {
	if s.refs == 0 {
		return 1
	}
	hits := s.sure.upTo(entries)
	if drawn := s.drawn.total(); drawn > 0 {
		hits += s.drawn.upTo(entries) * max(0, float64(s.refs)-keys-s.sure.total()) / drawn
	}
	return min(1, max(0, 1-hits/float64(s.refs)))
}
