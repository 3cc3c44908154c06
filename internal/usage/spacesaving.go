package usage

import "container/heap"

// spaceSaving keeps the keys asked for most often in a fixed number of counters
// (Metwally et al., ICDT 2005): a key without one takes over the smallest, so that a
// count is too high by at most its err.
type spaceSaving struct {
	size   int
	places map[uint64]*counter
	order  counters
}

type counter struct {
	hash       uint64
	key        string
	count, err uint64
	at         int
}

func newSpaceSaving(size int) *spaceSaving {
	return &spaceSaving{size: size, places: make(map[uint64]*counter, size)}
}

func (s *spaceSaving) add(hash uint64, key []byte, n uint64) {
	if c := s.places[hash]; c != nil {
		c.count += n
		heap.Fix(&s.order, c.at)
		return
	}
	if len(s.order) < s.size {
		c := &counter{hash: hash, key: string(key), count: n}
		s.places[hash] = c
		heap.Push(&s.order, c)
		return
	}
	c := s.order[0]
	delete(s.places, c.hash)
	c.hash, c.key, c.err = hash, string(key), c.count
	c.count += n
	s.places[hash] = c
	heap.Fix(&s.order, 0)
}

// counters is a heap with the smallest on top.
type counters []*counter

func (c counters) Len() int           { return len(c) }
func (c counters) Less(i, j int) bool { return c[i].count < c[j].count }
func (c counters) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].at, c[j].at = i, j
}
func (c *counters) Push(x any) {
	k := x.(*counter)
	k.at = len(*c)
	*c = append(*c, k)
}
func (c *counters) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
