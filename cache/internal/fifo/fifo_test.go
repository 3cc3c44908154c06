package fifo

import (
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// put keeps a value whatever was there.
func put(c *Cache[int, int], key, value, weight int) {
	c.Put(key, &value, weight, func(*int) bool { return false })
}

func get(c *Cache[int, int], key int) (int, bool) {
	if e := c.Get(key); e != nil {
		return *e, true
	}
	return 0, false
}

// fill keeps keys from one to another, each of weight 1.
func fill(c *Cache[int, int], from, to int) {
	for k := from; k < to; k++ {
		put(c, k, k, 1)
	}
}

func TestWhatIsAskedForTwiceStays(t *testing.T) {
	c := New[int, int](100)
	put(c, -1, 7, 1)
	get(c, -1)
	get(c, -1)
	put(c, -2, 8, 1)
	get(c, -2)
	fill(c, 0, 150)
	if v, ok := get(c, -1); !ok || v != 7 {
		t.Errorf("asked for twice: %d, %t", v, ok)
	}
	if _, ok := get(c, -2); ok {
		t.Error("asked for once, and it stays")
	}
	put(c, -2, 9, 1) // it is remembered: to the main queue at once
	fill(c, 1000, 1095)
	if v, ok := get(c, -2); !ok || v != 9 {
		t.Errorf("asked for, gone, and asked for again: %d, %t", v, ok)
	}
	if c.Len() != 100 || c.Weight() != 100 || c.Evictions() == 0 {
		t.Errorf("%d entries of %d, %d went", c.Len(), c.Weight(), c.Evictions())
	}
}

func TestWhatIsNotAskedForLeavesTheMainQueue(t *testing.T) {
	c := New[int, int](10)
	for k := range 9 {
		put(c, k, k, 1)
		get(c, k)
		get(c, k)
	}
	for k := 100; k < 200; k++ { // each of them comes again and again
		put(c, k, k, 1)
		get(c, k)
		get(c, k)
	}
	for k := range 9 {
		if _, ok := get(c, k); ok {
			t.Errorf("%d is there still", k)
		}
	}
}

func TestWeights(t *testing.T) {
	c := New[int, int](100)
	put(c, 1, 1, 60)
	put(c, 2, 2, 30)
	put(c, 3, 3, 101)
	if _, ok := get(c, 3); ok || c.Weight() != 90 {
		t.Errorf("heavier than all: it is there, or %d", c.Weight())
	}
	put(c, 2, 4, 101) // the old value is none any more, and the new one is too heavy
	if _, ok := get(c, 2); ok || c.Weight() != 60 {
		t.Errorf("an entry that became too heavy: it is there, or %d", c.Weight())
	}
	put(c, 2, 5, 40)
	put(c, 1, 6, 10)
	if v, _ := get(c, 1); v != 6 || c.Weight() != 50 || c.Len() != 2 {
		t.Errorf("changed: %d, %d entries of %d", v, c.Len(), c.Weight())
	}
	put(c, 4, 4, 100)
	if c.Weight() > 100 {
		t.Errorf("it holds %d", c.Weight())
	}
}

func TestKeep(t *testing.T) {
	c := New[int, int](10)
	put(c, 1, 1, 1)
	two := 2
	c.Put(1, &two, 1, func(old *int) bool { return *old == 1 })
	if v, _ := get(c, 1); v != 1 {
		t.Errorf("got %d", v)
	}
}

func TestClear(t *testing.T) {
	c := New[int, int](100)
	fill(c, 0, 1000)
	c.Clear()
	if c.Len() != 0 || c.Weight() != 0 {
		t.Errorf("%d entries of %d", c.Len(), c.Weight())
	}
	fill(c, 0, 1000)
	if c.Len() != 100 {
		t.Errorf("%d entries", c.Len())
	}
}

// Whatever happens, what is told was put last, weights add up, and the bound holds.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 60).Draw(t, "most")
		c := New[int, int](most)
		last := map[int]int{}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			key := rapid.IntRange(0, 40).Draw(t, "key")
			switch rapid.IntRange(0, 20).Draw(t, "what") {
			case 0:
				c.Clear()
				clear(last)
			case 1, 2, 3, 4, 5, 6, 7, 8:
				last[key] = rapid.IntRange(0, 1<<30).Draw(t, "value")
				put(c, key, last[key], rapid.IntRange(0, 12).Draw(t, "weight"))
			default:
				if v, ok := get(c, key); ok && v != last[key] {
					t.Fatalf("key %d: got %d, put %d", key, v, last[key])
				}
			}
			c.check(t)
		}
	})
}

// check adds everything up.
func (c *Cache[K, E]) check(t *rapid.T) {
	if c.weight.Load() > c.most {
		t.Fatalf("it holds %d of %d", c.weight.Load(), c.most)
	}
	var all int64
	there := 0
	for _, q := range []*queue[K, E]{&c.small, &c.main} {
		var sum int64
		for n := q.first; n != nil; n = n.next {
			if n.gone {
				continue
			}
			sum += n.weight
			there++
			if n.inMain != (q == &c.main) {
				t.Fatalf("%v is in the wrong queue", n.key)
			}
			if kept, ok := c.nodes.Load(n.key); !ok || kept != n {
				t.Fatalf("%v is in a queue, and not to be found", n.key)
			}
		}
		if sum != q.weight {
			t.Fatalf("a queue weighs %d and says %d", sum, q.weight)
		}
		all += sum
	}
	if all != c.weight.Load() || there != c.nodes.Size() {
		t.Fatalf("%d entries of %d are queued, %d of %d are there", there, all, c.nodes.Size(), c.weight.Load())
	}
	if len(c.ghosts.ring)-c.ghosts.head > 61 || len(c.ghosts.there) > 61 {
		t.Fatalf("%d are remembered", len(c.ghosts.ring))
	}
}

func TestManyAtOnce(t *testing.T) {
	c := New[int, int](500)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 20_000 {
				key := int(rng.ExpFloat64() * 300)
				if v, ok := get(c, key); ok && v != key {
					t.Errorf("key %d: got %d", key, v)
				} else if !ok {
					put(c, key, key, 1)
				}
			}
		})
	}
	wg.Wait()
	if c.Len() != 500 || c.Weight() != 500 {
		t.Errorf("%d entries of %d", c.Len(), c.Weight())
	}
}
