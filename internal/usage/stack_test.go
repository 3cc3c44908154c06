package usage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// refer gives references to keys, numbered, to a set of them.
func refer(k *keyset, keys []uint64) {
	var name []byte
	for _, key := range keys {
		name = fmt.Appendf(name[:0], "%d", key)
		k.add(name, 1)
	}
}

func keysetOf(c Config) *keyset {
	c.fill()
	return newKeyset(c)
}

// lru counts the misses of a cache that is a list.
func lru(keys []uint64, entries int) (misses int) {
	var cache []uint64
	for _, key := range keys {
		if i := slices.Index(cache, key); i >= 0 {
			cache = slices.Delete(cache, i, i+1)
		} else if misses++; len(cache) == entries {
			cache = cache[1:]
		}
		cache = append(cache, key)
	}
	return misses
}

func TestStackIsAnLRUCacheOfEverySize(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		keys := make([]uint64, 6000) // beyond the first numbering of moments
		most := 1 + random.IntN(400)
		for i := range keys {
			keys[i] = uint64(float64(most) * math.Pow(random.Float64(), 2))
		}
		k := keysetOf(Config{})
		refer(k, keys)
		for _, entries := range []int{1, 2, 3, 10, 50, 399, 1000} {
			want := float64(lru(keys, entries)) / float64(len(keys))
			if got := k.stack.missRatio(float64(entries), float64(k.count())); math.Abs(got-want) > 1e-9 {
				t.Fatalf("seed %d, %d keys, %d entries: miss ratio %v, a cache has %v", seed, most, entries, got, want)
			}
		}
	}
}

// zipfKeys draws keys of which rank r has a share of r^−s.
func zipfKeys(random *rand.Rand, s float64, n, draws int) []uint64 {
	sums := make([]float64, n)
	all := 0.0
	for r := range sums {
		all += math.Pow(float64(r+1), -s)
		sums[r] = all
	}
	keys := make([]uint64, draws)
	for i := range keys {
		r, _ := slices.BinarySearch(sums, random.Float64()*all)
		keys[i] = uint64(min(r, n-1))
	}
	return keys
}

// curveError is the mean difference between two curves over sizes from 0.1 to 100 %
// of the keys.
func curveError(exact, sampled *keyset) float64 {
	sum, n := 0.0, 0.0
	for size := float64(exact.count()) / 1000; size <= float64(exact.count()); size *= 1.1 {
		sum += math.Abs(exact.stack.missRatio(size, float64(exact.count())) - sampled.stack.missRatio(size, float64(sampled.count())))
		n++
	}
	return sum / n
}

func TestSampledCurve(t *testing.T) {
	for _, s := range []float64{0, .6, .9, 1.2} {
		keys := zipfKeys(rand.New(rand.NewPCG(1, 1)), s, 200_000, 900_000)
		exact := keysetOf(Config{})
		refer(exact, keys)
		for _, c := range []struct {
			follow int
			most   float64
		}{{1 << 16, .01}, {1 << 13, .02}} {
			sampled := keysetOf(Config{ExactReferences: leastSampled, SampledKeys: c.follow})
			refer(sampled, keys)
			e := curveError(exact, sampled)
			t.Logf("skew %.1f: follows %d of %d keys, mean absolute error %.5f", s, sampled.stack.live, exact.count(), e)
			if e > c.most || sampled.stack.live > c.follow || exact.stack.rate() != 1 {
				t.Errorf("skew %v: mean absolute error %v at rate %v", s, e, sampled.stack.rate())
			}
		}
	}
}

func TestCurveIsExactBelow8000References(t *testing.T) {
	keys := zipfKeys(rand.New(rand.NewPCG(1, 1)), .5, 6000, leastSampled)
	k := keysetOf(Config{ExactReferences: 1, SampledKeys: 10})
	refer(k, keys)
	if k.stack.sampled {
		t.Error("sampled")
	}
	refer(k, keys[:10])
	if !k.stack.sampled || k.stack.live > 10 {
		t.Errorf("follows %d keys", k.stack.live)
	}
}

// With far too few places for keys, what is told stays near the truth.
func TestBoundedKeys(t *testing.T) {
	keys := zipfKeys(rand.New(rand.NewPCG(3, 1)), .8, 50_000, 400_000)
	exact, bounded := keysetOf(Config{}), keysetOf(Config{MaxKeys: 4000, SampledKeys: 2000})
	refer(exact, keys)
	refer(bounded, keys)
	if bounded.table.used > 4000 || len(bounded.table.entries) > 8192 {
		t.Errorf("%d keys in %d places", bounded.table.used, len(bounded.table.entries))
	}
	near := func(what string, got, want, within float64) {
		t.Helper()
		if math.Abs(got-want) > within*want {
			t.Errorf("%s: %v, in truth %v", what, got, want)
		}
	}
	near("keys", float64(bounded.count()), float64(exact.count()), .03)
	a, b := exact.heat(exact.counts()), bounded.heat(bounded.counts())
	near("one-hit share", b.oneHit, a.oneHit, .1)
	near("keys for 80 %", float64(b.cover80), float64(a.cover80), .25)
	for i, want := range exact.top(5) {
		got := bounded.top(5)[i]
		if got.Key != want.Key || got.Count < want.Count || got.Count-got.Over > want.Count {
			t.Errorf("top key %d is %+v, in truth %+v", i, got, want)
		}
	}
	if e := curveError(exact, bounded); e > .05 {
		t.Errorf("mean absolute error of the curve %v", e)
	}
}

// Names are dropped and taken up again; the most frequent keys always have theirs.
func TestTopKeysAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 1))
	for _, s := range []float64{.2, 1} {
		keys := zipfKeys(random, s, 20_000, 300_000)
		counts := map[string]uint64{}
		for _, key := range keys {
			counts[fmt.Sprint(key)]++
		}
		k := keysetOf(Config{})
		refer(k, keys)
		top := k.top(topKeys)
		all := []uint64{}
		for _, n := range counts {
			all = append(all, n)
		}
		slices.Sort(all)
		slices.Reverse(all)
		for i, got := range top {
			if got.Count != all[i] || counts[got.Key] != got.Count {
				t.Errorf("skew %v, place %d: %+v, in truth %d, the place has %d", s, i, got, counts[got.Key], all[i])
			}
		}
		if len(top) != topKeys || len(k.names) > maxNames {
			t.Errorf("%d top keys, %d names", len(top), len(k.names))
		}
	}
}

// Keys that were hot once and are no longer do not crowd out the sample.
func TestHotKeysCool(t *testing.T) {
	k := keysetOf(Config{ExactReferences: leastSampled, SampledKeys: 1000})
	var keys []uint64
	for phase := range uint64(40) {
		for i := range uint64(20_000) {
			keys = append(keys, phase*1000+i%1000)
		}
	}
	refer(k, keys)
	if k.stack.live > 1000 || k.stack.weight > 256 {
		t.Errorf("follows %d keys, each of which stands for %d", k.stack.live, k.stack.weight)
	}
	if got, want := k.stack.missRatio(2500, float64(k.count())), .05; math.Abs(got-want) > .02 {
		t.Errorf("miss ratio %v, want %v", got, want)
	}
}
