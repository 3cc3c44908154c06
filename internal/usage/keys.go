package usage

import (
	"cmp"
	"math"
	"slices"

	"github.com/axiomhq/hyperloglog"
	"github.com/cespare/xxhash/v2"
)

const (
	maxNames     = 4096 // keys whose names are kept
	leastNames   = 256
	maxNameBytes = 300
	extraTop     = 1024 // counters for keys that the sample leaves out
)

// keyset counts keys: all of them as long as they are few enough, then a sample.
type keyset struct {
	maxKeys  int
	total    uint64 // references
	table    table
	limit    uint64 // keys with a larger hash are not counted in the table
	rate     float64
	distinct *hyperloglog.Sketch
	names    map[uint64]string
	least    uint32 // keys asked for more often than this have a name
	others   *spaceSaving
	stack    stack
	follow   bool // the order of requests is known: follow the stack
}

func newKeyset(c Config) *keyset {
	return &keyset{
		maxKeys: c.MaxKeys, limit: math.MaxUint64, rate: 1, distinct: hyperloglog.New14(),
		names: map[uint64]string{}, stack: newStack(c.ExactReferences, c.SampledKeys), follow: true,
	}
}

func (k *keyset) add(key []byte, n int) {
	hash := max(1, xxhash.Sum64(key))
	k.total += uint64(n)
	if hash > k.limit && !k.table.has(hash) {
		k.distinct.InsertHash(hash)
		k.others.add(hash, clip(key), uint64(n))
		if k.follow {
			k.stack.refs++
		}
		return
	}
	e, isNew := k.table.find(hash)
	if isNew {
		k.distinct.InsertHash(hash)
	}
	e.add(n)
	if e.count > k.least && e.count < named && k.names != nil {
		k.name(e, key)
	}
	if k.follow {
		k.stack.ask(&k.table, e)
	}
	if k.table.used > k.maxKeys {
		k.thin()
	}
}

func clip(key []byte) []byte { return key[:min(len(key), maxNameBytes)] }

// name keeps a key's name. Where they become too many, only the most frequent keep
// theirs.
func (k *keyset) name(e *entry, key []byte) {
	e.count |= named
	k.names[e.hash] = string(clip(key))
	if len(k.names) <= maxNames {
		return
	}
	type place struct {
		hash  uint64
		count uint32
	}
	all := make([]place, 0, len(k.names))
	for hash := range k.names {
		f, _ := k.table.find(hash)
		all = append(all, place{hash, f.seen()})
	}
	slices.SortFunc(all, func(a, b place) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.hash, b.hash)) })
	k.least = all[leastNames-1].count
	for _, p := range all[leastNames:] {
		f, _ := k.table.find(p.hash)
		f.count &^= named
		delete(k.names, p.hash)
	}
}

// thin leaves half of the keys out, but for the hottest. Those of them that were
// frequent go on in counters of their own.
func (k *keyset) thin() {
	if k.others == nil {
		k.others = newSpaceSaving(extraTop)
	}
	k.limit /= 2
	k.rate /= 2
	if !k.stack.sampled {
		k.stack.sampled = true
	}
	if k.stack.limit > k.limit {
		k.stack.limit, k.stack.weight = k.limit, int32(1/k.rate)
	}
	k.table.rebuild(len(k.table.entries), func(e *entry) bool {
		if e.hash <= k.limit || uint64(e.seen())*uint64(k.maxKeys) > hotKeys*k.total {
			return true
		}
		if name, ok := k.names[e.hash]; ok {
			k.others.add(e.hash, []byte(name), uint64(e.seen()))
			delete(k.names, e.hash)
		}
		return false
	})
	k.stack.compact(&k.table)
}

// count is how many different keys there were, exactly unless sampled.
func (k *keyset) count() uint64 {
	if k.rate == 1 {
		return uint64(k.table.used)
	}
	return k.distinct.Estimate()
}

// counts are the requests of each key, or of each in the sample, falling.
func (k *keyset) counts() []uint32 {
	all := make([]uint32, 0, k.table.used)
	k.table.each(func(e *entry) {
		if e.hash <= k.limit {
			all = append(all, e.seen())
		}
	})
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// top are the n keys asked for most often.
func (k *keyset) top(n int) []KeyCount {
	all := make([]KeyCount, 0, len(k.names))
	for hash, name := range k.names {
		e, _ := k.table.find(hash)
		all = append(all, KeyCount{Key: name, Count: uint64(e.seen())})
	}
	if k.others != nil {
		for _, c := range k.others.order {
			all = append(all, KeyCount{Key: c.key, Count: c.count, Over: c.err})
		}
	}
	slices.SortFunc(all, func(a, b KeyCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	return all[:min(n, len(all))]
}

// heat says how unevenly keys are asked for.
type heat struct {
	oneHit  float64 // share of keys with one request
	cover80 uint64  // keys that 80 % of the requests ask for
}

func (k *keyset) heat(counts []uint32) heat {
	if len(counts) == 0 {
		return heat{}
	}
	all, once := 0.0, 0
	for _, c := range counts {
		all += float64(c)
		if c == 1 {
			once++
		}
	}
	h := heat{oneHit: float64(once) / float64(len(counts))}
	sum := 0.0
	for i, c := range counts {
		if sum += float64(c); sum >= .8*all {
			h.cover80 = uint64(math.Round(float64(i+1) * float64(k.count()) / float64(len(counts))))
			break
		}
	}
	return h
}
