package hist

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// duration draws from all magnitudes, and beyond the scale.
func duration() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		bits := rapid.IntRange(0, 44).Draw(t, "bits")
		return time.Duration(rapid.Int64Range(0, 1<<bits).Draw(t, "ns"))
	})
}

func histogram() *rapid.Generator[*Histogram] {
	return rapid.Custom(func(t *rapid.T) *Histogram {
		return filled(rapid.SliceOfN(duration(), 0, 50).Draw(t, "values"))
	})
}

// same reports whether two snapshots say the same of everything.
func same(a, b Snapshot) bool {
	return sameCounts(a, b) && a.min == b.min && a.max == b.max
}

func sameCounts(a, b Snapshot) bool {
	return a.first == b.first && a.count == b.count && a.sum == b.sum && slices.Equal(a.counts, b.counts)
}

func TestIndexRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := duration().Draw(t, "v")
		i := index(v)
		if v < lower(i) || v > upper(i) {
			t.Fatalf("%d is not in its bucket %d: %d to %d", v, i, lower(i), upper(i))
		}
		if v <= top && !near(midpoint(i), v, 0) {
			t.Fatalf("%d is reported as %d", v, midpoint(i))
		}
		if w := duration().Draw(t, "w"); v <= w && i > index(w) {
			t.Fatalf("%d ≤ %d, but their buckets are %d and %d", v, w, i, index(w))
		}
	})
}

func TestQuantilesAreMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := histogram().Draw(t, "h").Snapshot()
		p, q := rapid.Float64Range(-0.1, 1.1).Draw(t, "p"), rapid.Float64Range(-0.1, 1.1).Draw(t, "q")
		low, high := s.Quantile(min(p, q)), s.Quantile(max(p, q))
		if !(s.Min() <= low && low <= high && high <= s.Max()) {
			t.Fatalf("min %d, q%v %d, q%v %d, max %d", s.Min(), min(p, q), low, max(p, q), high, s.Max())
		}
	})
}

func TestMergeAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := histogram().Draw(t, "a").Snapshot()
		b := histogram().Draw(t, "b").Snapshot()
		c := histogram().Draw(t, "c").Snapshot()
		if !same(a.Merge(b), b.Merge(a)) {
			t.Fatal("a+b is not b+a")
		}
		if !same(a.Merge(b).Merge(c), a.Merge(b.Merge(c))) {
			t.Fatal("(a+b)+c is not a+(b+c)")
		}
		if !same(a.Merge(Snapshot{}), a) || !same(a.Sub(Snapshot{}), a) {
			t.Fatal("nothing is not neutral")
		}
		if !same(a.Sub(a), Snapshot{}) {
			t.Fatal("a−a is not nothing")
		}
		if !sameCounts(a.Merge(b).Sub(b), a) {
			t.Fatal("a+b−b is not a")
		}
	})
}

// Two halves merged, or a difference of two moments, are what one histogram of
// those values would be.
func TestPartsAreLikeTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.SliceOfN(duration(), 0, 50).Draw(t, "one")
		two := rapid.SliceOfN(duration(), 0, 50).Draw(t, "two")
		h := filled(one)
		before := h.Snapshot()
		for _, d := range two {
			h.Record(d)
		}
		if after := h.Snapshot(); !same(after, before.Merge(filled(two).Snapshot())) {
			t.Fatal("the whole is not the sum of its parts")
		}
		diff, want := h.Snapshot().Sub(before), filled(two).Snapshot()
		if !sameCounts(diff, want) {
			t.Fatal("the difference is not what came between")
		}
		if diff.min > want.min || diff.max < want.max {
			t.Fatalf("the extremes %d and %d do not hold %d and %d", diff.min, diff.max, want.min, want.max)
		}
	})
}

func TestBucketsAgreeWithAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := histogram().Draw(t, "h").Snapshot()
		edge, n := time.Duration(0), uint64(0)
		for edge, n = range s.Buckets() {
			if got := s.AtMost(edge); got != n {
				t.Fatalf("%d values up to %d, but the bucket says %d", got, edge, n)
			}
		}
		if n != s.Count() || edge < s.Max() {
			t.Fatalf("the last bucket is (%d, %d), want (≥ %d, %d)", edge, n, s.Max(), s.Count())
		}
	})
}

// FuzzQuantile compares with the definition: the value of rank ⌈qN⌉ in order.
func FuzzQuantile(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0}, 0.5)
	f.Add(binary.LittleEndian.AppendUint64([]byte{255, 255, 255, 255, 0, 0, 0, 0}, 1<<43), 0.99)
	f.Add(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), 0.0)
	f.Fuzz(func(t *testing.T, data []byte, q float64) {
		h := New()
		var sorted []time.Duration
		for ; len(data) >= 8; data = data[8:] {
			d := time.Duration(binary.LittleEndian.Uint64(data))
			h.Record(d)
			sorted = append(sorted, max(d, 0))
		}
		s := h.Snapshot()
		if int(s.Count()) != len(sorted) {
			t.Fatalf("%d values, want %d", s.Count(), len(sorted))
		}
		if len(sorted) == 0 {
			return
		}
		slices.Sort(sorted)
		want := sorted[rank(q, s.Count())-1]
		got := s.Quantile(q)
		if index(want) == buckets-1 {
			want = sorted[len(sorted)-1]
		}
		if !near(got, want, 0) {
			t.Fatalf("q%v is %d, want %d", q, got, want)
		}
		if s.Min() != sorted[0] || s.Max() != sorted[len(sorted)-1] {
			t.Fatalf("extremes %d and %d, want %d and %d", s.Min(), s.Max(), sorted[0], sorted[len(sorted)-1])
		}
	})
}
