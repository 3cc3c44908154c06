package usage

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The table counts what a map does.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table table
		truth := map[uint64]uint32{}
		hashes := rapid.SliceOfN(rapid.Uint64Range(1, 50), 0, 4000).Draw(t, "hashes")
		for i, h := range hashes {
			h *= 1 + uint64(i%7)<<40 // some that collide
			e, isNew := table.find(h)
			if _, seen := truth[h]; seen == isNew {
				t.Fatalf("%d: new %v", h, isNew)
			}
			e.add(1)
			truth[h]++
		}
		if table.used != len(truth) {
			t.Fatalf("%d keys, want %d", table.used, len(truth))
		}
		table.each(func(e *entry) {
			if truth[e.hash] != e.seen() {
				t.Fatalf("%d: %d, want %d", e.hash, e.seen(), truth[e.hash])
			}
		})
		if len(truth) > 0 && table.has(1<<63) {
			t.Fatal("a key that nobody added")
		}
	})
}

// What is told of keys is what a list of all requests says.
func TestHeatOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := New(Config{})
		truth := map[string]int{}
		n := rapid.IntRange(1, 2000).Draw(t, "requests")
		most := rapid.IntRange(1, 300).Draw(t, "keys")
		for i := range n {
			key := fmt.Sprintf("/users/%d", (i*i+i*7)%most)
			truth[key]++
			a.Add(&Record{Time: NoTime, Took: -1, Client: []byte(key), Path: []byte(key)})
		}
		r := a.Report()
		once, counts := 0, []int{}
		for _, c := range truth {
			counts = append(counts, c)
			if c == 1 {
				once++
			}
		}
		slices.Sort(counts)
		slices.Reverse(counts)
		sum, cover := 0, 0
		for _, c := range counts {
			if 10*sum < 8*n {
				sum += c
				cover++
			}
		}
		if r.Keys.Distinct != uint64(len(truth)) || *r.Clients.Distinct != uint64(len(truth)) || r.Requests != uint64(n) {
			t.Fatalf("%d keys, %d clients, want %d", r.Keys.Distinct, *r.Clients.Distinct, len(truth))
		}
		if *r.Keys.OneHit != float64(once)/float64(len(truth)) || *r.Keys.Cover80 != uint64(cover) {
			t.Fatalf("one-hit %v, cover %d; want %d of %d, %d", *r.Keys.OneHit, *r.Keys.Cover80, once, len(truth), cover)
		}
		for i, k := range r.Keys.Top {
			if truth[k.Key] != int(k.Count) || counts[i] != int(k.Count) {
				t.Fatalf("top key %d: %+v, want %d", i, k, counts[i])
			}
		}
		last := 1.0
		for _, m := range r.MissRatioCurve {
			if m.Ratio > last+1e-12 || m.Ratio < float64(len(truth))/float64(n)-1e-12 {
				t.Fatalf("the curve rises or goes below first references: %+v", r.MissRatioCurve)
			}
			last = m.Ratio
		}
	})
}

// A record that stands for many is as many records, but for their order.
func TestRecordsThatStandForMany(t *testing.T) {
	one, many := New(Config{}), New(Config{})
	for i := range int64(200) {
		r := Record{Time: i * 1e9, Took: 5, Path: fmt.Appendf(nil, "/%d", i%10)}
		for range 3 {
			one.Add(&r)
		}
		r.Times = 3
		many.Add(&r)
	}
	a, b := one.Report(), many.Report()
	if len(a.MissRatioCurve) == 0 || len(b.MissRatioCurve) != 0 {
		t.Error("a curve of what has no order")
	}
	a.MissRatioCurve, a.NotAdvised, b.NotAdvised = nil, nil, nil
	b.MissRatioCurve = nil
	if x, y := fmt.Sprint(a.Requests, *a.Peak.RPS1, *a.Burst.Dispersion10, *a.Burst.CV, a.Keys.Top, a.Latency.Samples), fmt.Sprint(b.Requests, *b.Peak.RPS1, *b.Burst.Dispersion10, *b.Burst.CV, b.Keys.Top, b.Latency.Samples); x != y {
		t.Errorf("%s\n%s", x, y)
	}
}
